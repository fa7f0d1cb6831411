import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { loadOrt, type Session } from '../../../src/runtime/ort.js'
import { trainers } from '../../../src/trainers/registry.js'
import { planPool } from '../../../src/trainers/trees/pool.js'
import { clusters, learn } from '../contract-data.js'

const { InferenceSession } = loadOrt()
const create = InferenceSession.create.bind(InferenceSession) as (...args: unknown[]) => Promise<Session>
/** Threads of the sessions that ran, and of those opened without a number of threads. */
let used = new Set<unknown>()

beforeEach(() => {
  used = new Set()
  jest.spyOn(InferenceSession, 'create').mockImplementation((async (...args: unknown[]) => {
    const session = await create(...args)
    const { intraOpNumThreads, interOpNumThreads } = args.at(-1) as Record<string, number | undefined>
    const run = session.run.bind(session) as (...args: unknown[]) => ReturnType<Session['run']>
    session.run = ((...feeds: unknown[]) => {
      used.add(interOpNumThreads === 1 ? intraOpNumThreads : 'unbounded')
      return run(...feeds)
    }) as Session['run']
    return session
  }) as typeof InferenceSession.create)
})
afterEach(() => {
  jest.restoreAllMocks()
})

// These have no matrix products: they grow on worker threads, which planPool counts.
const trees = ['random-forest', 'extra-trees', 'gradient-boosting', 'decision-tree']
const byProducts = trainers.filter(({ id, reference }) => !reference && !trees.includes(id))

describe('the thread budget', () => {
  it.each(byProducts.map((trainer) => [trainer.id, trainer] as const))(
    '%s multiplies with the threads it was given, in the fit and in prediction',
    async (_id, trainer) => {
      for (const threads of [1, 3]) {
        used.clear()
        const set = clusters(4, 60, 24)
        const classifier = await learn(trainer, set, { threads, preprocess: 'pca:20' })
        expect([...used]).toEqual([threads])
        used.clear()
        await classifier.predictScores(set.x, { threads })
        expect([...used]).toEqual([threads])
      }
    },
  )

  it('trees never take more threads than that, whatever the work', () => {
    for (const threads of [1, 2, 3, 8])
      for (const visits of [1e3, 1e7, 1e9, 1e12])
        for (const share of [1, 1e-2, 1e-4]) {
          const { workers, helps } = planPool(threads, visits, visits * share)
          expect(workers + (helps ? 1 : 0)).toBeLessThanOrEqual(threads)
          expect(workers + (helps ? 1 : 0)).toBeGreaterThan(0)
          if (visits >= 1e9) expect(workers + (helps ? 1 : 0)).toBe(threads)
        }
  })
})

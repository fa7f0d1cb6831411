import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../../src/base/random.js'
import type { TrainingSet } from '../../../src/trainers/contract.js'
import { lda } from '../../../src/trainers/linear/lda.js'
import type { LinearModel } from '../../../src/trainers/linear/model.js'
import { solveRidge } from '../../../src/trainers/linear/solvers/ridge-system.js'
import { resolveParams } from '../../../src/trainers/params.js'
import { accuracy, clusters, digits, iris, largestDifference, reference, takeRows } from '../data.js'

const sets = { iris: iris(), digits: digits() }
const fitted = (set: TrainingSet, shrinkage: number | string): Promise<LinearModel> =>
  lda.fit(set, { params: resolveParams(lda.params, { shrinkage }), seed: 0, threads: 1 }) as Promise<LinearModel>

describe.each(['iris', 'digits'] as const)('lda agrees with scikit-learn on %s', (name) => {
  it.each(['auto', 0.3])('shrinkage %s', async (shrinkage) => {
    const { train, test } = sets[name]
    const classes = train.classes.length
    const known = reference[name][`lda:${shrinkage}`]
    const proba = await (await fitted(train, shrinkage)).scores(test.x)
    expect(largestDifference(proba.subarray(0, 20 * classes), known.proba.flat())).toBeLessThan(2e-4)
    expect(accuracy(proba, test.y, classes)).toBe(known.accuracy)
  })
})

describe('lda', () => {
  it('solves by conjugate gradients what it would solve directly', async () => {
    const random = createRandom('ridge')
    const z = { data: Float32Array.from({ length: 40 * 60 }, () => random.normal()), rows: 40, cols: 60 }
    // Columns 5 and 6 are empty and have no ridge.
    for (let i = 0; i < 40; i++) z.data.fill(0, i * 60 + 5, i * 60 + 7)
    const ridge = Float64Array.from({ length: 60 }, (_, j) => (j === 5 || j === 6 ? 0 : 0.5 + random.next()))
    const b = Float64Array.from({ length: 3 * 60 }, () => random.normal())
    const system = { z, ridge, threads: 1 }
    const direct = await solveRidge(system, b, () => {}, true)
    const stepped = await solveRidge(system, b, () => {}, false)
    expect([direct.steps, stepped.steps > 5]).toEqual([0, true])
    expect(largestDifference(stepped.w, direct.w)).toBeLessThan(1e-5)
    expect([...direct.w.subarray(5, 7), ...stepped.w.subarray(5, 7)].every((v) => v === 0)).toBe(true)
  })

  it('counts a row of weight 2 as two rows, with more columns than rows', async () => {
    const set = clusters(60, 400, 3)
    const doubled = takeRows(set, [...Array(60).keys(), ...Array(30).keys()])
    const weighted = { ...set, weights: Float64Array.from({ length: 60 }, (_, i) => (i < 30 ? 2 : 1)) }
    const [a, b] = [await fitted(doubled, 0.2), await fitted(weighted, 0.2)]
    expect(a.facts.solver).toBe('conjugate gradients')
    expect(largestDifference(await a.scores(set.x), await b.scores(set.x))).toBeLessThan(1e-4)
  })
})

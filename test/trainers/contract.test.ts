import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Classifier, predictedClasses } from '../../src/classifiers/classifier.js'
import { loadClassifier } from '../../src/classifiers/load.js'
import type { Trainer, TrainingSet } from '../../src/trainers/contract.js'
import { resolveParams } from '../../src/trainers/params.js'
import { trainers } from '../../src/trainers/registry.js'
import { signalWhen } from '../support/signals.js'
import { clusters, learn, right } from './contract-data.js'
import { takeRows } from './data.js'
import { onnxDifference } from './onnx.js'

const three = clusters(3, 20, 6)
const fresh = clusters(3, 20, 6, 1)
const many = clusters(4, 60, 24)
const all = trainers.map((trainer) => [trainer.id, trainer] as const)
const own = all.filter(([, trainer]) => !trainer.reference)

/** What `ai.onnx.ml` has an operator for is written as that. */
const mlOperator: Readonly<Record<string, string>> = {
  'kernel-svm': 'SVMClassifier',
  'random-forest': 'TreeEnsembleRegressor',
  'extra-trees': 'TreeEnsembleRegressor',
  'gradient-boosting': 'TreeEnsembleRegressor',
  'decision-tree': 'TreeEnsembleRegressor',
}

/** Largest slope of isotonic curves, each x and y of its knots one after the other. */
function steepest(curves: readonly Float64Array[]): number {
  let most = 0
  for (const curve of curves) {
    const n = curve.length / 2
    for (let k = 1; k < n; k++) {
      const run = curve[k]! - curve[k - 1]!
      if (run > 0) most = Math.max(most, (curve[n + k]! - curve[n + k - 1]!) / run)
    }
  }
  return most
}

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-contract-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

describe.each(all)('the trainer %s', (id, trainer) => {
  it('declares hyper-parameters whose defaults and grids it accepts', () => {
    const defaults = resolveParams(trainer.params)
    expect([...defaults.keys()]).toEqual(trainer.params.map((spec) => spec.name))
    for (const spec of trainer.params) {
      expect(spec.help).toMatch(/\w/)
      for (const value of [spec.default, ...(spec.grid ?? [])])
        expect(resolveParams(trainer.params, new Map([[spec.name, String(value)]])).get(spec.name)).toEqual(value)
    }
  })

  it('learns; the same seed gives the same model; saved, loaded, or row by row, it gives the same scores', async () => {
    const before = Float32Array.from(three.x.data)
    const [a, b] = [await learn(trainer, three), await learn(trainer, three)]
    expect(three.x.data).toEqual(before)
    const scores = await a.predictScores(three.x)
    expect(scores).toEqual(await b.predictScores(three.x))
    expect(right(scores, three)).toBeGreaterThan(50)
    if (a.scoreKind === 'probability')
      for (let i = 0; i < 60; i++) expect(scores[3 * i]! + scores[3 * i + 1]! + scores[3 * i + 2]!).toBeCloseTo(1, 4)
    await a.save(join(root, id))
    const loaded = await loadClassifier(join(root, id))
    expect(loaded.info).toEqual(a.info)
    expect(await loaded.predictScores(three.x)).toEqual(scores)
    const one = await loaded.predictScores({ data: three.x.data.slice(6, 12), rows: 1, cols: 6 })
    for (let c = 0; c < 3; c++) expect(one[c]!).toBeCloseTo(scores[3 + c]!, 4)
    expect(await loaded.predictScores({ data: new Float32Array(), rows: 0, cols: 6 })).toHaveLength(0)
  })

  it('renaming classes changes nothing', async () => {
    const renamed = await learn(trainer, { ...three, classes: ['__proto__', 'a.b[0]', '</script>'] })
    expect(await renamed.predictScores(fresh.x)).toEqual(await (await learn(trainer, three)).predictScores(fresh.x))
  })

  it('refuses one class, and values that are not finite, naming the row', async () => {
    const set = clusters(2, 5, 4)
    await expect(learn(trainer, { ...set, y: new Int32Array(10) })).rejects.toMatchObject({
      code: 'TRAINING_ONE_CLASS',
    })
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const data = Float32Array.from(set.x.data)
      data[3 * 4 + 1] = bad
      await expect(learn(trainer, { ...set, x: { ...set.x, data } })).rejects.toThrow('row 3')
    }
  })

  it('takes one row a class, rows that are all equal, constant features, duplicates and more features than rows', async () => {
    const finite = async (set: TrainingSet): Promise<void> => {
      const scores = await (await learn(trainer, set)).predictScores(set.x)
      expect(scores).toHaveLength(set.x.rows * set.classes.length)
      expect(scores.every(Number.isFinite)).toBe(true)
    }
    await finite(clusters(3, 1, 5))
    const set = clusters(2, 8, 40)
    await finite({ ...set, x: { ...set.x, data: new Float32Array(16 * 40).fill(3) } })
    const data = Float32Array.from(set.x.data, (value, i) => (i % 40 < 10 ? 7 : value))
    data.copyWithin(40 * 2, 0, 40)
    await finite({ ...set, x: { ...set.x, data } })
  })

  it('takes many classes', async () => {
    // Reference trainers take half a minute for a hundred.
    const set = clusters(trainer.reference ? 8 : 100, 2, 12)
    const classifier = await learn(trainer, set)
    expect(right(await classifier.predictScores(set.x), set)).toBeGreaterThan(set.x.rows / 2)
  })

  it('stops when it is told to before the fit, and at a time limit', async () => {
    await expect(learn(trainer, three, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'INTERRUPTED' })
    await expect(learn(trainer, three, { timeLimitSeconds: 1e-6 })).rejects.toMatchObject({ code: 'TIME_LIMIT' })
  })

  it('reports progress from 0 to 1, never backwards', async () => {
    for (const [preprocess, share] of [
      ['none', 0],
      ['standardise+pca:3', 0.5],
    ] as const) {
      const seen: number[] = []
      await learn(trainer, three, { preprocess, onProgress: (fraction) => seen.push(fraction) })
      expect([...seen].sort((a, b) => a - b)).toEqual(seen)
      expect(seen.every((fraction) => fraction >= 0 && fraction <= 1)).toBe(true)
      // Of preprocessing and of the fit itself.
      expect(seen.filter((fraction) => fraction <= share).length).toBeGreaterThan(share > 0 ? 2 : -1)
      expect(seen.some((fraction) => fraction > share)).toBe(true)
    }
  })
})

describe.each(own)('the trainer %s, while it fits', (_id, trainer) => {
  it('stops within the fit, whenever it looks whether it should', async () => {
    /** Looks at the signal inside the trainer's own fit; from the `last` on it says that it has fired. */
    const looks = async (last: number): Promise<{ count: number; outcome: unknown }> => {
      let count = 0
      let inside = false
      const signal = signalWhen(() => inside && ++count >= last)
      const watched: Trainer = {
        ...trainer,
        async fit(set, context) {
          inside = true
          const model = await trainer.fit(set, context)
          inside = false
          return model
        },
      }
      const outcome = await learn(watched, many, { signal }).catch((error) => error)
      return { count, outcome }
    }
    const { count, outcome } = await looks(Number.POSITIVE_INFINITY)
    expect([count > 1, outcome]).toEqual([true, expect.any(Classifier)])
    for (const last of new Set([1, Math.ceil(count / 2), count]))
      expect((await looks(last)).outcome).toMatchObject({ code: 'INTERRUPTED' })
  })
})

describe.each(own)('the trainer %s, not a reference', (_id, trainer) => {
  it('has an ONNX form with the same scores and classes', async () => {
    const binary = clusters(2, 12, 5)
    for (const [set, x] of [
      [three, fresh.x],
      [binary, clusters(2, 12, 5, 1).x],
      [clusters(20, 4, 30), clusters(20, 4, 30, 1).x],
    ] as const) {
      const difference = await onnxDifference(await learn(trainer, set), x)
      expect(difference).toEqual({ score: expect.any(Number), classes: 0 })
      expect(difference.score).toBeLessThan(1e-5)
    }
  })

  it('has an ONNX form of standard operators and those of ai.onnx.ml alone', async () => {
    const classifier = await learn(trainer, three, {
      preprocess: 'power:0.5+standardise+pca:3+l2',
      calibrate: 'isotonic',
    })
    const { graph, opsetImport } = classifier.toOnnx()
    const domains = new Set([...graph!.node, ...opsetImport].map(({ domain }) => domain))
    domains.delete('')
    expect([...domains]).toEqual(mlOperator[trainer.id] ? ['ai.onnx.ml'] : expect.any(Array))
    for (const domain of domains) expect(domain).toBe('ai.onnx.ml')
    const special = graph!.node.filter(({ domain }) => domain !== '').map(({ opType }) => opType)
    if (mlOperator[trainer.id]) expect(special).toContain(mlOperator[trainer.id])
  })

  it.each(['sigmoid', 'isotonic'] as const)('is calibrated on request: %s, in ONNX too', async (calibrate) => {
    const classifier = await learn(trainer, three, { calibrate })
    expect(classifier.scoreKind).toBe('probability')
    const scores = await classifier.predictScores(fresh.x)
    for (let i = 0; i < 60; i++) expect(scores[3 * i]! + scores[3 * i + 1]! + scores[3 * i + 2]!).toBeCloseTo(1, 5)
    expect(right(scores, fresh)).toBeGreaterThan(45)
    const difference = await onnxDifference(classifier, fresh.x)
    expect(difference).toEqual({ score: expect.any(Number), classes: 0 })
    // Between close knots an isotonic curve is steep, and multiplies what the ONNX form's scores differ by before it.
    // One trainer needs that: gradient boosting, whose probabilities gather at 0 and 1 (slope 2,000; float32 sums of
    // leaves differ by 1e-7).
    const steep = calibrate === 'isotonic' ? steepest(classifier.calibration!.curves) : 0
    const bare = await onnxDifference(new Classifier(classifier.info, classifier.preprocess, classifier.model), fresh.x)
    expect(difference.score).toBeLessThan(Math.max(1e-5, steep * bare.score))
    expect(bare.score).toBeLessThan(1e-6)
  })

  it('uses weights: rows that weigh nothing to speak of are not learned, balanced classes help the rare one', async () => {
    // Half of the rows carry a wrong label and next to no weight.
    const wrong = three.y.map((c, i) => (i % 2 === 0 ? (c + 1) % 3 : c))
    const weights = Float64Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? 1e-6 : 1))
    const weighted = await learn(trainer, { ...three, y: wrong, weights })
    expect(right(await weighted.predictScores(fresh.x), fresh)).toBeGreaterThan(45)
    const lopsided = takeRows(
      clusters(2, 40, 2),
      [...Array(80).keys()].filter((i) => i % 2 === 0 || i < 12),
    )
    const rare = async (classWeight: 'balanced' | 'none'): Promise<number> => {
      const classifier = await learn(trainer, lopsided, { classWeight })
      const labels = predictedClasses(await classifier.predictScores(clusters(2, 40, 2, 1).x), 2)
      return labels.reduce((sum, c) => sum + c, 0)
    }
    expect(await rare('balanced')).toBeGreaterThanOrEqual(await rare('none'))
  })

  it('balanced classes are rows that weigh n / (classes × rows of their class)', async () => {
    const lopsided = takeRows(
      clusters(2, 40, 3),
      [...Array(80).keys()].filter((i) => i % 2 === 0 || i < 21),
    )
    const weights = Float64Array.from(lopsided.y, (c) => 50 / (2 * (c === 0 ? 40 : 10)))
    const balanced = await learn(trainer, lopsided, { classWeight: 'balanced' })
    const weighted = await learn(trainer, { ...lopsided, weights })
    expect(await balanced.predictScores(lopsided.x)).toEqual(await weighted.predictScores(lopsided.x))
  })
})

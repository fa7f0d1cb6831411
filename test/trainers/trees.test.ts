import { describe, expect, it } from '@jest/globals'
import { gradientBoosting } from '../../src/trainers/gradient-boosting.js'
import { type RawParams, resolveParams } from '../../src/trainers/params.js'
import { extraTrees, randomForest } from '../../src/trainers/random-forest.js'
import { binColumns } from '../../src/trainers/trees/binning.js'
import { openPool, shared } from '../../src/trainers/trees/pool.js'
import { accuracy, clusters, digits, reference } from './data.js'

const fitting = (trainer: typeof randomForest, threads: number, raw: RawParams = {}) => {
  const params = resolveParams(trainer.params, raw)
  return (set: Parameters<typeof trainer.fit>[0]) => trainer.fit(set, { params, seed: 5, threads })
}

describe('binning', () => {
  const binned = (values: readonly number[], maxBins: number): number[] => {
    const to = { codes: new Uint8Array(values.length), rows: values.length, cols: 1 }
    binColumns(Float32Array.from(values), to, maxBins, 0, 1)
    return [...to.codes]
  }

  it('gives every distinct value its own bin while there are enough', () => {
    expect(binned([3, -1, -0, 0, 3, 2.5], 256)).toEqual([3, 0, 1, 1, 3, 2])
    expect(binned([0, 0, 5, 0, 2], 256)).toEqual([0, 0, 2, 0, 1])
    expect(binned([7, 7, 7], 256)).toEqual([0, 0, 0])
  })

  it('leaves the zeros of a column out of the count, and spreads the rest evenly', () => {
    const values = Array.from({ length: 900 }, (_, i) => (i < 600 ? 0 : 1000 - i))
    const codes = binned(values, 4)
    expect(codes.slice(0, 600).every((code) => code === 0)).toBe(true)
    for (const bin of [1, 2, 3]) expect(codes.filter((code) => code === bin)).toHaveLength(100)
    expect(codes[600]).toBe(3)
  })
})

describe.each([
  ['random-forest', randomForest],
  ['extra-trees', extraTrees],
] as const)('%s', (id, trainer) => {
  it('reads digits as well as scikit-learn does, and knows which pixels matter', async () => {
    const { train, test } = digits()
    const model = await fitting(trainer, 1)(train)
    const own = accuracy(await model.scores(test.x), test.y, 10)
    expect(own).toBeGreaterThan(reference.digits[id].accuracy - 0.01)
    const importance = model.save().tensors.get('importance')!.values as Float64Array
    expect(importance.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 10)
    const theirs: number[] = reference.digits[id].importance
    const mean = 1 / 64
    let [product, mine, other] = [0, 0, 0]
    importance.forEach((v, f) => {
      product += (v - mean) * (theirs[f]! - mean)
      mine += (v - mean) ** 2
      other += (theirs[f]! - mean) ** 2
    })
    expect(product / Math.sqrt(mine * other)).toBeGreaterThan(0.95)
    if (id === 'random-forest')
      expect(Math.abs((model.facts['out-of-bag accuracy'] as number) - reference.digits[id].outOfBag)).toBeLessThan(0.012)
  })
})

describe('threads', () => {
  it.each([
    ['random-forest', randomForest, { trees: 30 }],
    ['extra-trees', extraTrees, { trees: 30 }],
    ['gradient-boosting', gradientBoosting, { rounds: 12 }],
  ] as const)('two give the model of one: %s', async (_id, trainer, raw) => {
    const set = clusters(400, 300, 3)
    const [one, two] = [await fitting(trainer, 1, raw)(set), await fitting(trainer, 2, raw)(set)]
    expect(two.save()).toEqual(one.save())
  })

  it('stop a fit within a tree', async () => {
    const stop = new AbortController()
    const rows = 2000
    const set = clusters(rows, 200, 4)
    setTimeout(() => stop.abort(), 150)
    const fit = randomForest.fit(set, {
      params: resolveParams(randomForest.params, { trees: 5000, features: 'all' }),
      seed: 1,
      threads: 2,
      signal: stop.signal,
    })
    await expect(fit).rejects.toMatchObject({ code: 'INTERRUPTED' })
  })

  it('that fail say so', async () => {
    const setup = {
      data: {
        x: shared.float32(4),
        rows: 2,
        cols: 2,
        classes: 2,
        y: new Int32Array(2),
        codes: shared.uint8(4),
        columns: new Float32Array(0),
      },
      maxBins: 256,
      seed: 1,
    }
    const pool = openPool(setup, 2, 1e9, undefined)
    await expect(pool.run([{ kind: 'tree', tree: 0 }], () => {})).rejects.toMatchObject({ code: 'TRAINING_THREAD' })
    await pool.close()
  })
})

describe('gradient boosting', () => {
  it('reads digits as well as scikit-learn does', async () => {
    const { train, test } = digits()
    const model = await fitting(gradientBoosting, 1, { bins: 256 })(train)
    const own = accuracy(await model.scores(test.x), test.y, 10)
    expect(own).toBeGreaterThan(reference.digits['gradient-boosting'].accuracy - 0.01)
    expect(Math.abs((model.facts.trainLoss as number) - reference.digits['gradient-boosting'].trainLoss)).toBeLessThan(1e-4)
  })

  it('follows scikit-learn with two classes, tree by tree', async () => {
    const { train, test } = digits()
    const two = (set: typeof train) => {
      const y = Int32Array.from(set.y, (v) => (v >= 5 ? 1 : 0))
      return { x: set.x, y, classes: ['low', 'high'] }
    }
    const model = await fitting(gradientBoosting, 1, { bins: 255, rounds: 10 })(two(train))
    const scores = await model.scores(test.x)
    const theirs: number[] = reference.digits['gradient-boosting'].two
    let worst = 0
    theirs.forEach((p, i) => {
      worst = Math.max(worst, Math.abs(scores[2 * i + 1]! - p))
    })
    expect(worst).toBeLessThan(0.02)
  })

  it('stops early on held-back rows and keeps the best iteration', async () => {
    const set = clusters(300, 20, 3, 1, 3)
    const model = await fitting(gradientBoosting, 1, { stopping: 'yes', patience: 3, rate: 0.5, rounds: 200 })(set)
    expect(model.facts.iterations).toBeLessThan(100)
    expect(model.facts.heldRows).toBe(30)
  })
})

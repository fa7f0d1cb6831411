import { readFileSync } from 'node:fs'
import { describe, expect, it, jest } from '@jest/globals'
import { Fc7Error } from '../../../src/base/errors.js'
import { createRandom } from '../../../src/base/random.js'
import { WorkerClient } from '../../../src/base/worker/client.js'
import type { ParamValue, TrainingSet } from '../../../src/trainers/contract.js'
import { type RawParams, resolveParams } from '../../../src/trainers/params.js'
import { binColumns, binForest } from '../../../src/trainers/trees/bins/binning.js'
import { decisionTree } from '../../../src/trainers/trees/decision-tree.js'
import { gradientBoosting } from '../../../src/trainers/trees/gradient-boosting.js'
import { openPool, planPool, shared } from '../../../src/trainers/trees/pool.js'
import { extraTrees, randomForest } from '../../../src/trainers/trees/random-forest.js'
import { forestCodes, openForestStorage } from '../../../src/trainers/trees/wasm/forest/forest-arena.js'
import type { TreeJob, TreeRequests } from '../../../src/trainers/trees/work.js'
import { accuracy, clusters, digits, iris } from '../data.js'

/** What scikit-learn found on the same rows (test/fixtures/trainers/make_tree_reference.py). */
const reference = JSON.parse(readFileSync(new URL('../../fixtures/trainers/trees.json', import.meta.url), 'utf8'))

const fitting = (trainer: typeof randomForest, threads: number, raw: RawParams = {}) => {
  const params = resolveParams(trainer.params, raw)
  return (set: Parameters<typeof trainer.fit>[0]) => trainer.fit(set, { params, seed: 5, threads })
}

describe('binning', () => {
  const binned = (values: readonly number[], maxBins: number): number[] => {
    const codes = new Uint16Array(values.length)
    binColumns({ x: Float32Array.from(values), rows: values.length, cols: 1, from: 0, to: 1 }, codes, maxBins)
    return [...codes]
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

describe('bins of forests', () => {
  const rows = 700
  const cols = 20
  const random = createRandom('bins')
  // Many zeros; negative values in every third column; few distinct values in every fifth; one far outlier in column 7.
  const x = Float32Array.from({ length: rows * cols }, (_, at) => {
    const f = at % cols
    const v = f % 3 === 0 ? random.normal() : Math.max(0, random.normal())
    return f % 5 === 0 ? Math.round(v * 3) : f === 7 && at === 7 ? 1e30 : v
  })
  const room = openForestStorage({ rows, cols, classes: 2, tried: 1 }, 1)
  binForest({ x, rows, cols, from: 0, to: cols }, room, 256)
  const { columns: codes } = forestCodes(room)

  it('follow the order of the values, and hold about as many rows each', () => {
    for (let f = 0; f < cols; f++) {
      const values = Array.from({ length: rows }, (_, i) => x[i * cols + f]!)
      const own = codes.subarray(f * rows, (f + 1) * rows)
      const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!)
      for (let k = 1; k < rows; k++) expect(own[order[k]!]!).toBeGreaterThanOrEqual(own[order[k - 1]!]!)
      const counted = own.filter((code) => code > 0)
      const distinct = new Set(values).size
      if (distinct <= 256) expect(new Set(own).size).toBe(distinct)
      else expect(new Set(counted).size).toBeGreaterThan(150)
    }
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
      expect(Math.abs((model.facts['out-of-bag accuracy'] as number) - reference.digits[id].outOfBag)).toBeLessThan(
        0.012,
      )
  })
})

describe('threads', () => {
  it.each([
    ['random-forest', randomForest, { n_estimators: 100 }],
    ['extra-trees', extraTrees, { n_estimators: 100 }],
    ['gradient-boosting', gradientBoosting, { max_iter: 6 }],
  ] as const)('two give the model of one: %s', async (_id, trainer, raw) => {
    const set = clusters(400, 300, 3)
    const one = await fitting(trainer, 1, raw)(set)
    // Rows are copied to shared memory only where threads are started.
    const copy = jest.spyOn(shared, 'float32')
    const two = await fitting(trainer, 2, raw)(set)
    expect(copy).toHaveBeenCalledWith(400 * 300)
    copy.mockRestore()
    expect(two.save()).toEqual(one.save())
  })

  const original = WorkerClient.prototype.ask
  // One tree of a second or more: a calling thread that grew it would hear nothing before its end.
  const longTree = (threads: number, signal: AbortSignal) =>
    decisionTree.fit(clusters(20_000, 400, 4, 3), {
      params: resolveParams(decisionTree.params, {}),
      seed: 1,
      threads,
      signal,
    })

  const reasons = [undefined, new Fc7Error('TIME_LIMIT', 'The time is up.')]
  it.each([1, 2].flatMap((threads) => reasons.map((reason) => ({ threads, reason }))))(
    'stop a fit within a tree, with the reason: %j',
    async ({ threads, reason }) => {
      const stop = new AbortController()
      // The moment at which the tree's thread has its job.
      const ask = jest.spyOn(WorkerClient.prototype, 'ask')
      ask.mockImplementation(function (this: WorkerClient<TreeRequests>, kind, job, options) {
        if ((job as TreeJob).kind === 'tree') setImmediate(() => stop.abort(reason))
        return original.call(this, kind, job, options)
      } as typeof original)
      const code = reason?.code ?? 'INTERRUPTED'
      await expect(longTree(threads, stop.signal)).rejects.toMatchObject({ code })
      expect(ask).toHaveBeenCalled()
      ask.mockRestore()
    },
  )

  it('work beside the calling one where jobs are short, instead of it where they are long', () => {
    expect(planPool(2, 1e6, 1e4)).toEqual({ workers: 0, helps: true })
    expect(planPool(2, 1e9, 1e7)).toEqual({ workers: 1, helps: true })
    expect(planPool(1, 1e9, 1e7)).toEqual({ workers: 0, helps: true })
    expect(planPool(2, 1e9, 1e9)).toEqual({ workers: 2, helps: false })
    expect(planPool(1, 1e9, 1e9)).toEqual({ workers: 1, helps: false })
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
      },
      maxBins: 256,
      seed: 1,
    }
    const pool = openPool(setup, { workers: 2, helps: false }, undefined)
    await expect(pool.run([{ kind: 'tree', tree: 0 }], () => {})).rejects.toMatchObject({ code: 'TRAINING_THREAD' })
    await pool.close()
  })
})

describe('gradient boosting', () => {
  it('reads digits exactly as scikit-learn does', async () => {
    const { train, test } = digits()
    const model = await fitting(gradientBoosting, 1, { max_bins: 255, max_iter: 15 })(train)
    const own = accuracy(await model.scores(test.x), test.y, 10)
    expect(own).toBeCloseTo(reference.digits['gradient-boosting'].accuracy, 10)
    expect(model.facts.trainLoss).toBeCloseTo(reference.digits['gradient-boosting'].trainLoss, 7)
  })

  it('is scikit-learn with two classes', async () => {
    const { train, test } = digits()
    const two = (set: typeof train) => {
      const y = Int32Array.from(set.y, (v) => (v >= 5 ? 1 : 0))
      return { x: set.x, y, classes: ['low', 'high'] }
    }
    const model = await fitting(gradientBoosting, 1, { max_bins: 255, max_iter: 10 })(two(train))
    const scores = await model.scores(test.x)
    const theirs: number[] = reference.digits['gradient-boosting'].two
    theirs.forEach((p, i) => {
      expect(Math.abs(scores[2 * i + 1]! - p)).toBeLessThan(2e-7)
    })
  })

  it('goes on where a side with most rows has no hessian left to divide', async () => {
    const random = createRandom('sure')
    const [rows, cols] = [4000, 10]
    const y = Int32Array.from({ length: rows }, (_, i) => (i % 4 ? 0 : 1))
    const data = Float32Array.from({ length: rows * cols }, (_, at) => {
      const far = 3 * y[Math.floor(at / cols)]! * (at % cols === 0 ? 1 : 0.1)
      return random.normal() + far
    })
    const settings = { max_bins: 4, max_iter: 60, learning_rate: 0.5, min_samples_leaf: 1 }
    const model = await fitting(gradientBoosting, 1, settings)({ x: { data, rows, cols }, y, classes: ['far', 'near'] })
    expect(model.facts.iterations).toBe(60)
    expect(model.facts.trainLoss).toBeLessThan(0.01)
  })

  it('stops early on held-back rows and keeps the best iteration', async () => {
    const set = clusters(300, 20, 3, 1, 3)
    const model = await fitting(gradientBoosting, 1, {
      early_stopping: 'true',
      n_iter_no_change: 3,
      learning_rate: 0.5,
      max_iter: 200,
    })(set)
    expect(model.facts.iterations).toBeLessThan(100)
    expect(model.facts.heldRows).toBe(30)
  })
})

describe.each(['gini', 'entropy'] as const)('a decision tree by %s', (criterion) => {
  const grow = (set: TrainingSet, raw: Readonly<Record<string, ParamValue>> = {}, seed = 3) => {
    const params = resolveParams(decisionTree.params, { criterion, ...raw })
    return decisionTree.fit(set, { params, seed, threads: 1 })
  }
  const theirs = reference.digits[`decision-tree:${criterion}`]

  it('is the tree that scikit-learn grows', async () => {
    const { train, test } = digits()
    const whole = await grow(train)
    expect(whole.facts).toEqual({ leaves: theirs.leaves[0], depth: theirs.depth[0] })
    // The seed decides between cuts that are equally good, on either side: one tree's accuracy is a draw, a mean is
    // not.
    let mean = 0
    for (let seed = 0; seed < 5; seed++)
      mean += accuracy(await (await grow(train, {}, seed)).scores(test.x), test.y, 10) / 5
    expect(Math.abs(mean - theirs.accuracy)).toBeLessThan(0.01)
    const { tensors } = (await grow(train, { max_depth: 3 })).save()
    const [feature, threshold, left, right] = ['feature', 'threshold', 'left', 'right'].map(
      (name) => tensors.get(name)!.values as Float32Array,
    )
    const order: number[] = []
    const walk = (node: number): void => {
      order.push(node)
      if (feature![node]! < 0) return
      walk(left![node]!)
      walk(right![node]!)
    }
    walk(0)
    expect(order.map((node) => Math.max(-2, feature![node]! < 0 ? -2 : feature![node]!))).toEqual(theirs.top.feature)
    order.forEach((node, k) => {
      if (feature![node]! >= 0) expect(threshold![node]!).toBeCloseTo(theirs.top.threshold[k], 6)
    })
  })

  it.each([0.005, 0.01, 0.02])('pruned by %d keeps as many leaves as scikit-learn', async (alpha) => {
    const { facts } = await grow(digits().train, { ccp_alpha: alpha })
    expect(facts.leaves).toBe(theirs.pruned[String(alpha)][0])
    expect(facts.leavesBeforePruning).toBe(theirs.leaves[0])
  })
})

describe('the files of a decision tree', () => {
  it('say what is asked, and survive names from outside', async () => {
    const { train } = iris()
    const params = resolveParams(decisionTree.params, { max_depth: 2 })
    const model = await decisionTree.fit(train, { params, seed: 1, threads: 1 })
    const files = model.files!(['<script>alert(1)</script>', 'a\u202Eb', '"versi & color"'])
    const [text, svg] = [files.get('tree.txt')!, files.get('tree.svg')!]
    expect(text.split('\n').length).toBe(6)
    expect(text).toMatch(/x\[[23]\] <= /)
    expect(text).not.toContain('\u202E')
    expect(svg).not.toContain('<script')
    expect(svg).toContain('&#60;script')
    expect(svg).not.toContain('\u202E')
  })
})

import { describe, expect, it, jest } from '@jest/globals'
import type { Params, TrainingSet } from '../../../src/trainers/contract.js'
import { innerSplit } from '../../../src/trainers/inner-split.js'
import { pickRows } from '../../../src/trainers/linalg/gemm.js'
import { epochsFor, mlp, stepsPerRun } from '../../../src/trainers/mlp/mlp.js'
import { type RawParams, resolveParams } from '../../../src/trainers/params.js'
import { TrainingRunner } from '../../../src/training/runner.js'
import { accuracy, clusters, digits, largestDifference } from '../data.js'

const params = (raw: RawParams = new Map()): Params => resolveParams(mlp.params, raw)

function crossEntropy(scores: Float32Array, y: ArrayLike<number>, classes: number): number {
  return Array.from(y).reduce((sum, c, i) => sum - Math.log(scores[i * classes + c]!), 0) / y.length
}

/** Four steps of softmax regression over all rows at once in float64, the rate along a cosine, biases without decay. */
function byHand(
  { x, y, classes }: TrainingSet,
  [weights, biases]: readonly [Float64Array, Float64Array],
  optimizer: 'sgd' | 'adam',
  rate: number,
  decay: number,
): [Float64Array, Float64Array] {
  const { rows, cols } = x
  const k = classes.length
  // Rows of root mean square length 1 are learnt from; the saved weights have the factor in them.
  const scale = Math.min(1, 4 / Math.sqrt(cols)) / Math.sqrt(x.data.reduce((sum, v) => sum + v * v, 0) / x.data.length)
  const values = Float64Array.from([...weights.map((w) => w / scale), ...biases])
  const first = new Float64Array(values.length)
  const second = new Float64Array(values.length)
  for (let step = 0; step < 4; step++) {
    const gradient = new Float64Array(values.length)
    for (let i = 0; i < rows; i++) {
      const row = Array.from(x.data.subarray(i * cols, (i + 1) * cols), (v) => v * scale)
      const z = Array.from({ length: k }, (_, c) =>
        row.reduce((sum, v, j) => sum + v * values[j * k + c]!, values[cols * k + c]!),
      )
      const total = z.reduce((sum, v) => sum + Math.exp(v), 0)
      z.forEach((v, c) => {
        const error = (Math.exp(v) / total - (c === y[i] ? 1 : 0)) / rows
        row.forEach((u, j) => {
          gradient[j * k + c]! += error * u
        })
        gradient[cols * k + c]! += error
      })
    }
    const now = rate * 0.5 * (1 + Math.cos((Math.PI * step) / 4))
    values.forEach((value, at) => {
      const own = at < cols * k ? decay : 0
      if (optimizer === 'sgd') {
        // Nesterov's momentum of 0.9, as torch.optim.SGD has it.
        const slope = gradient[at]! + own * value
        first[at] = 0.9 * first[at]! + slope
        values[at] = value - now * (slope + 0.9 * first[at]!)
        return
      }
      // AdamW of Loshchilov and Hutter 2019.
      first[at] = 0.9 * first[at]! + 0.1 * gradient[at]!
      second[at] = 0.999 * second[at]! + 0.001 * gradient[at]! ** 2
      const mean = first[at]! / (1 - 0.9 ** (step + 1))
      const square = second[at]! / (1 - 0.999 ** (step + 1))
      values[at] = value * (1 - now * own) - (now * mean) / (Math.sqrt(square) + 1e-8)
    })
  }
  return [values.subarray(0, cols * k).map((w) => w * scale), values.subarray(cols * k)]
}

describe('mlp', () => {
  it('reads digits as well as a linear model does', async () => {
    const { train, test } = digits()
    // A third of the usual epochs, at steps four times as long: the same end, sooner.
    const model = await mlp.fit(train, {
      params: params({ max_iter: 30, learning_rate_init: 0.002 }),
      seed: 1,
      threads: 1,
    })
    expect(accuracy(await model.scores(test.x), test.y, 10)).toBeGreaterThan(0.95)
  })

  it('makes enough steps of few rows, and no more epochs than needed of many', () => {
    expect(epochsFor(0, 1)).toBe(300)
    expect(epochsFor(0, 17)).toBe(118)
    expect(epochsFor(0, 282)).toBe(20)
    expect(epochsFor(7, 1)).toBe(7)
  })

  it('makes runs short enough that a fit hears within seconds that it should stop, and masks small', async () => {
    // Small nets: an epoch a run.
    expect(stepsPerRun([2048, 256, 10], 64, 15)).toBe(15)
    // 4096 × 4096 weights and as many again: 3 · 64 · 2 · 4096² products a step, of which 4e10 hold six.
    expect(stepsPerRun([4096, 4096, 4096, 100], 64, 300)).toBe(6)
    expect(stepsPerRun([40_000, 20_000, 10], 256, 300)).toBe(1)
    // 64 MB of masks, a byte a hidden unit and row, where the inputs are few.
    expect(stepsPerRun([2, 4096, 2], 4096, 300)).toBe(4)
    expect(stepsPerRun([8, 3], 64, 20)).toBe(20)
  })

  it('makes the steps of an epoch in so many runs', async () => {
    const run = jest.spyOn(TrainingRunner.prototype, 'run')
    try {
      // 4 MB of masks a step (were units left out: that takes long under a test runner), and seventeen steps.
      const settings = { hidden_layer_sizes: '262144', batch_size: 16, max_iter: 1, validation_fraction: 0, dropout: 0 }
      await mlp.fit(clusters(272, 2, 2), { params: params(settings), seed: 1, threads: 1 })
      expect(run.mock.calls.map(([steps]) => steps.lr.length)).toEqual([16, 1])
    } finally {
      run.mockRestore()
    }
  })

  it('learns sixty rows by its defaults', async () => {
    const set = clusters(60, 12, 3)
    const model = await mlp.fit(set, { params: params(), seed: 1, threads: 1 })
    expect(accuracy(await model.scores(set.x), set.y, 3)).toBeGreaterThan(0.9)
  })

  it('gives the same weights for the same seed, other weights for another', async () => {
    const set = clusters(90, 12, 3)
    const weights = async (seed: number) =>
      (await mlp.fit(set, { params: params({ max_iter: 3, hidden_layer_sizes: '8' }), seed, threads: 1 })).save()
        .tensors
    const [a, b, c] = [await weights(1), await weights(1), await weights(2)]
    expect(a).toEqual(b)
    expect(a.get('weight0')).not.toEqual(c.get('weight0'))
  })

  it('scores the same after saving and loading, and rows sum to 1', async () => {
    const set = clusters(60, 10, 4)
    const model = await mlp.fit(set, {
      params: params({ hidden_layer_sizes: '16,8', max_iter: 4 }),
      seed: 3,
      threads: 1,
    })
    const scores = await model.scores(set.x)
    expect(await mlp.load(model.save()).scores(set.x)).toEqual(scores)
    expect(scores.subarray(0, 4).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5)
  })

  it.each([
    ['sgd', 0.05],
    ['adam', 0.05],
  ] as const)('%s alone: four steps over all rows are those worked out by hand', async (optimizer, rate) => {
    const set = clusters(60, 5, 3)
    const settings = { hidden_layer_sizes: '', solver: optimizer, batch_size: 60, weight_decay: 0.1, dropout: 0 }
    const weights = async (raw: RawParams) => {
      const { tensors } = (await mlp.fit(set, { params: params(raw), seed: 4, threads: 1 })).save()
      return ['weight0', 'bias0'].map((name) => Float64Array.from(tensors.get(name)!.values as Float32Array)) as [
        Float64Array,
        Float64Array,
      ]
    }
    const start = await weights({ ...settings, max_iter: 1, learning_rate_init: 1e-8 })
    const found = await weights({ ...settings, max_iter: 4, learning_rate_init: rate })
    const expected = byHand(set, start, optimizer, rate, 0.1)
    for (const i of [0, 1] as const) {
      expect(largestDifference(found[i], expected[i])).toBeLessThan(1e-5)
      expect(largestDifference(found[i], start[i])).toBeGreaterThan(1e-2)
    }
  })

  it('leaves units out in training only', async () => {
    const set = clusters(60, 12, 3)
    const still = {
      hidden_layer_sizes: '32',
      learning_rate_init: 1e-8,
      max_iter: 1,
      batch_size: 60,
      validation_fraction: 0,
    }
    const [whole, half] = [
      await mlp.fit(set, { params: params({ ...still, dropout: 0 }), seed: 1, threads: 1 }),
      await mlp.fit(set, { params: params({ ...still, dropout: 0.5 }), seed: 1, threads: 1 }),
    ]
    const scores = await half.scores(set.x)
    expect(largestDifference(scores, await whole.scores(set.x))).toBeLessThan(1e-5)
    expect(await half.scores(set.x)).toEqual(scores)
    // The weights stand still, so that the loss of the one step is that of the scores, unless units are left out.
    const own = crossEntropy(scores, set.y, 3)
    expect(Math.abs((whole.facts.trainLoss as number) - own)).toBeLessThan(1e-5)
    expect(Math.abs((half.facts.trainLoss as number) - own)).toBeGreaterThan(1e-3)
    const learnt = async (dropout: number) =>
      (
        await mlp.fit(set, {
          params: params({
            max_iter: 40,
            learning_rate_init: 0.01,
            hidden_layer_sizes: '32',
            dropout,
            validation_fraction: 0,
          }),
          seed: 1,
          threads: 1,
        })
      ).facts.trainLoss as number
    expect(await learnt(0.8)).toBeGreaterThan(1.5 * (await learnt(0)))
  })

  it('stops early, before the last epoch, and keeps the weights that were best on the held rows', async () => {
    const set = clusters(300, 12, 3, 1, 3)
    const settings = {
      max_iter: 200,
      learning_rate_init: 0.01,
      hidden_layer_sizes: '32',
      dropout: 0,
      validation_fraction: 0.2,
      n_iter_no_change: 5,
    }
    const learn = (raw: RawParams) => mlp.fit(set, { params: params(raw), seed: 2, threads: 1 })
    const model = await learn(settings)
    const { epochs, bestEpoch, heldRows, heldLoss } = model.facts as Record<string, number>
    expect(epochs).toBeLessThan(200)
    expect(bestEpoch).toBe(epochs! - 5)
    const { held } = innerSplit(set, 0.2, 2)
    expect(heldRows).toBe(held.length)
    const loss = async (of: typeof model) => {
      const scores = await of.scores(pickRows(set.x, held))
      return crossEntropy(
        scores,
        held.map((row) => set.y[row]!),
        3,
      )
    }
    expect(await loss(model)).toBeCloseTo(heldLoss!, 5)
    // With patience to the end every epoch is made, and still the best one's weights come out, not the last one's.
    const patient = await learn({ ...settings, n_iter_no_change: 10_000 })
    expect(patient.facts.epochs).toBe(200)
    expect(patient.facts.bestEpoch).toBeLessThan(190)
    expect(await loss(patient)).toBeCloseTo(patient.facts.heldLoss as number, 5)
    const all = await learn({ ...settings, validation_fraction: 0 })
    expect(all.facts.heldRows).toBeUndefined()
  })

  it('stops between runs when asked to', async () => {
    const stop = new AbortController()
    const fitting = mlp.fit(clusters(60, 10, 2), {
      params: params(),
      seed: 1,
      threads: 1,
      signal: stop.signal,
      onProgress: () => stop.abort(),
    })
    await expect(fitting).rejects.toMatchObject({ code: 'INTERRUPTED' })
  })
})

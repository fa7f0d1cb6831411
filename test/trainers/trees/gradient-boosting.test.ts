import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../../src/base/random.js'
import type { TrainingSet } from '../../../src/trainers/contract.js'
import { type RawParams, resolveParams } from '../../../src/trainers/params.js'
import { binQuantiles, cutStride } from '../../../src/trainers/trees/bins/quantile-bins.js'
import { gradientBoosting } from '../../../src/trainers/trees/gradient-boosting.js'
import { clusters, pixels, splitRows } from '../data.js'

/** The columns that each tree cuts. */
async function columnsOfTrees(cols: number, raw: RawParams): Promise<Set<number>[]> {
  const params = resolveParams(gradientBoosting.params, {
    max_iter: 4,
    max_leaf_nodes: 31,
    min_samples_leaf: 1,
    ...raw,
  })
  const model = await gradientBoosting.fit(clusters(150, cols, 3, 1, 4), { params, seed: 3, threads: 1 })
  const { tensors } = model.save()
  const of = (name: string) => tensors.get(name)!.values as Int32Array
  const [roots, feature, left, right] = [of('roots'), of('feature'), of('left'), of('right')]
  return Array.from(roots, (root) => {
    const seen = new Set<number>()
    const walk = (node: number): void => {
      if (feature[node]! < 0) return
      seen.add(feature[node]!)
      walk(left[node]!)
      walk(right[node]!)
    }
    walk(root)
    return seen
  })
}

it('gradient boosting draws the share of the features that was asked for, again for every tree', async () => {
  const all = await columnsOfTrees(40, { max_features: 1 })
  const some = await columnsOfTrees(40, { max_features: 0.1 })
  expect(Math.max(...all.map((seen) => seen.size))).toBeGreaterThan(8)
  for (const seen of some) expect(seen.size).toBeLessThanOrEqual(4)
  expect(new Set(some.flatMap((seen) => [...seen])).size).toBeGreaterThan(12)
})

describe('with all columns drawn, boosting is what scikit-learn 1.9.1 recorded (make_boosting.py)', () => {
  const recorded = JSON.parse(readFileSync(new URL('../../fixtures/trainers/boosting.json', import.meta.url), 'utf8'))
  const cols = 24
  const { x: bytes, y: labels } = pixels()
  const rows = 2 * labels.length
  const data = Float32Array.from({ length: rows * cols }, (_, at) => {
    const [i, j] = [Math.floor(at / cols), at % cols]
    const copy = i < labels.length ? 0 : 1
    let sum = 0
    for (let p = 0; p < 64; p++)
      sum += bytes[(i % labels.length) * 64 + p]! * ((((p + 5 * copy) * (2 * j + 3)) % 13) - 6)
    if (j % 4 === 3) return sum / 64
    return (j % 4 === 2 ? Math.floor(Math.max(0, sum - 40) / 100) : Math.max(0, sum - 40)) / 64
  })
  const { train, test } = splitRows(
    data,
    [...labels, ...labels].map((label) => label % 3),
    ['0', '1', '2'],
  )
  const first = { ...test.x, rows: 60, data: test.x.data.subarray(0, 60 * cols) }
  const fitted = (raw: RawParams, set: TrainingSet = train, threads = 1) =>
    gradientBoosting.fit(set, {
      params: resolveParams(gradientBoosting.params, { max_features: 1, ...raw }),
      seed: 1,
      threads,
    })
  const expectClose = (own: ArrayLike<number>, theirs: readonly number[]): void => {
    expect(own).toHaveLength(theirs.length)
    theirs.forEach((value, i) => {
      expect(Math.abs(own[i]! - value)).toBeLessThan(2e-7)
    })
  }

  it.each([
    ['default', 255],
    ['other', 40],
  ])('bins end where those end: %s', (name, bins) => {
    const codes = new Uint8Array(train.x.rows * cols)
    const stride = cutStride(train.x.rows, bins)
    const cuts = new Float32Array(cols * stride)
    binQuantiles({ ...train.x, x: train.x.data, from: 0, to: cols }, codes, cuts, bins)
    for (let f = 0; f < cols; f++) {
      const own = codes.subarray(f * train.x.rows, (f + 1) * train.x.rows)
      const ends = cuts.subarray(f * stride, f * stride + recorded[name].bins[f] - 1)
      expect(cuts.subarray(f * stride + ends.length, (f + 1) * stride).every((end) => end === 0)).toBe(true)
      expect(Math.abs(ends.reduce((sum, end) => sum + end, 0) - recorded[name].sums[f])).toBeLessThan(1e-3)
      const wrong = [...own.keys()].filter((i) => {
        const value = train.x.data[i * cols + f]!
        return value > (ends[own[i]!] ?? Infinity) || value <= (ends[own[i]! - 1] ?? -Infinity)
      })
      expect(wrong).toEqual([])
    }
  })

  it('grows the same trees, node by node', async () => {
    const { tensors } = (await fitted({ max_bins: 255, max_iter: 3, max_leaf_nodes: 16, min_samples_leaf: 20 })).save()
    const of = (name: string) => tensors.get(name)!.values as Int32Array | Float32Array
    const [feature, threshold, left, right] = [of('feature'), of('threshold'), of('left'), of('right')]
    const [leaf, shares] = [of('leaf'), of('shares')]
    const features: number[] = []
    const numbers: number[] = []
    const walk = (node: number): void => {
      features.push(feature[node]!)
      numbers.push(feature[node]! < 0 ? shares[leaf[node]!]! : threshold[node]!)
      if (feature[node]! < 0) return
      walk(left[node]!)
      walk(right[node]!)
    }
    of('roots').forEach(walk)
    expect(features).toEqual(recorded.default.feature)
    numbers.forEach((number, i) => {
      expect(number).toBeCloseTo(recorded.default.number[i], 5)
    })
  })

  it.each([1, 2])('gives the same probabilities at other settings too, on %i threads', async (threads) => {
    const model = await fitted({ max_bins: 255, max_iter: 3, max_leaf_nodes: 16, min_samples_leaf: 20 }, train, threads)
    expectClose(await model.scores(first), recorded.default.probabilities)
    const other = {
      max_bins: 40,
      max_iter: 12,
      max_leaf_nodes: 15,
      min_samples_leaf: 3,
      l2_regularization: 0.5,
      learning_rate: 0.3,
      max_depth: 5,
    }
    expectClose(await (await fitted(other, train, threads)).scores(first), recorded.other.probabilities)
  })
})

describe('bins at quantiles', () => {
  const binned = (values: readonly number[], bins: number) => {
    const codes = new Uint8Array(values.length)
    const cuts = new Float32Array(cutStride(values.length, bins))
    binQuantiles({ x: Float32Array.from(values), rows: values.length, cols: 1, from: 0, to: 1 }, codes, cuts, bins)
    return { codes: [...codes], cuts: [...cuts] }
  }

  it('end halfway between values while there are no more than bins, at values otherwise', () => {
    expect(binned([3, -1, -0, 0, 3, 2.5], 4)).toEqual({ codes: [3, 0, 1, 1, 3, 2], cuts: [-0.5, 1.25, 2.75, 0] })
    expect(binned([7, 7, 7], 3)).toEqual({ codes: [0, 0, 0], cuts: [0, 0, 0] })
    expect(binned([0, 0, 0], 3)).toEqual({ codes: [0, 0, 0], cuts: [0, 0, 0] })
    // Quartiles of seven: the second, fourth and sixth; of eight: halfway.
    expect(binned([1, 2, 3, 4, 5, 6, 7], 4)).toEqual({ codes: [0, 0, 1, 1, 2, 2, 3], cuts: [2, 4, 6, 0] })
    expect(binned([8, 7, 6, 5, 4, 3, 2, 1], 4).cuts).toEqual([2.5, 4.5, 6.5, 0])
  })

  it('count zeros, and end at the largest float32 that parts the values', () => {
    expect(binned([0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 4)).toEqual({
      codes: [0, 0, 0, 0, 0, 0, 1, 1, 2, 2],
      cuts: [0, 2, 0, 0],
    })
    const next = 1 + 2 ** -23
    // Halfway between neighbours would be rounded to the upper one.
    expect(binned([next, next + 2 ** -23], 2)).toEqual({ codes: [0, 1], cuts: [next, 0] })
    expect(binned([-next, -next - 2 ** -23], 2)).toEqual({ codes: [1, 0], cuts: [-next - 2 ** -23, 0] })
    expect(binned([-(2 ** -149), 0], 2)).toEqual({ codes: [0, 1], cuts: [-(2 ** -149), 0] })
  })

  it('sort columns of an outlier too', () => {
    const random = createRandom('outlier')
    const values = Array.from({ length: 3000 }, (_, i) => (i === 7 ? 1e30 : Math.fround(random.normal())))
    const order = [...values].sort((a, b) => a - b)
    const { codes, cuts } = binned(values, 100)
    // Thirty rows a bin, or one more or less where the float64 of a quantile's rank is not whole.
    for (let k = 0; k < 99; k++) {
      expect(cuts[k]).toBeGreaterThanOrEqual(order[30 * k + 29]!)
      expect(cuts[k]).toBeLessThanOrEqual(order[30 * k + 30]!)
    }
    for (const [i, code] of codes.entries())
      if (values[i]! > (cuts[code] || Infinity) || values[i]! <= (cuts[code - 1] ?? -Infinity))
        throw new Error(`row ${i}`)
  })
})

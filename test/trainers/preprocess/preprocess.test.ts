import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../../src/base/random.js'
import type { Matrix } from '../../../src/trainers/contract.js'
import { symmetricEigen } from '../../../src/trainers/linalg/eigen.js'
import { fitPca } from '../../../src/trainers/preprocess/pca.js'
import {
  fitPreprocess,
  formatPreprocess,
  type Preprocess,
  parsePreprocess,
} from '../../../src/trainers/preprocess/preprocess.js'
import { signalWhen } from '../../support/signals.js'
import { clusters, iris, largestDifference, matrix, reference } from '../data.js'

const options = { seed: 1, threads: 1 }
const prepared = (text: string, x: Matrix): Promise<{ preprocess: Preprocess; x: Matrix }> =>
  fitPreprocess(parsePreprocess(text), x, options)

/** 400 rows of 600 columns: too many of both for the exact way. */
const wide = (): Matrix => directions(400, 600)

/** Rows with a few strong directions. */
function directions(rows: number, cols: number): Matrix {
  const random = createRandom('wide')
  const basis = Array.from({ length: 12 }, () => Float64Array.from({ length: cols }, () => random.normal()))
  const data = new Float32Array(rows * cols)
  for (let i = 0; i < rows; i++) {
    const weights = basis.map((_, k) => (random.normal() * 6) / (k + 1))
    for (let j = 0; j < cols; j++)
      data[i * cols + j] = basis.reduce((sum, b, k) => sum + weights[k]! * b[j]!, 3) + 0.3 * random.normal()
  }
  return { data, rows, cols }
}

/** Variances of the columns, and the largest covariance of two of them. */
function spread({ data, rows, cols }: Matrix): { variance: number[]; covariance: number } {
  const mean = Array.from({ length: cols }, (_, j) => {
    let sum = 0
    for (let i = 0; i < rows; i++) sum += data[i * cols + j]! / rows
    return sum
  })
  const of = (j: number, k: number): number => {
    let sum = 0
    for (let i = 0; i < rows; i++) sum += (data[i * cols + j]! - mean[j]!) * (data[i * cols + k]! - mean[k]!)
    return sum / (rows - 1)
  }
  let covariance = 0
  for (let j = 0; j < cols; j++) for (let k = 0; k < j; k++) covariance = Math.max(covariance, Math.abs(of(j, k)))
  return { variance: mean.map((_, j) => of(j, j)), covariance }
}

describe('preprocessing', () => {
  it('does what its name says', async () => {
    const x = matrix([
      [3, -4],
      [0, 0],
      [-0.25, 9],
    ])
    expect([...(await prepared('none', x)).x.data]).toEqual([...x.data])
    expect(largestDifference((await prepared('l2', x)).x.data.subarray(0, 4), [0.6, -0.8, 0, 0])).toBeLessThan(1e-6)
    expect(largestDifference((await prepared('power', x)).x.data, [3 ** 0.5, -2, 0, 0, -0.5, 3])).toBeLessThan(1e-6)
    expect((await prepared('power:0.25', x)).x.data[5]).toBeCloseTo(3 ** 0.5, 6)
    const { variance } = spread((await prepared('standardise', x)).x)
    // Divided by the population's deviation, as StandardScaler does.
    for (const v of variance) expect(v).toBeCloseTo(3 / 2, 5)
    expect(formatPreprocess(parsePreprocess('power+l2+pca-whiten:3'))).toBe('power:0.5+l2+pca-whiten:3')
    for (const bad of ['pca', 'pca:0', 'pca:1.5', 'power:0', 'power:2', 'l2:3', 'l2+', 'eval'])
      expect(() => parsePreprocess(bad)).toThrow(expect.objectContaining({ code: 'USAGE_PREPROCESS' }))
  })

  it('is learnt from the training rows alone: what other rows become does not depend on their company', async () => {
    const { x } = clusters(60, 8, 3)
    for (const text of ['standardise', 'standardise+pca:4', 'power:0.5+pca-whiten:4', 'l2']) {
      const { preprocess } = await prepared(text, x)
      const fresh = clusters(20, 8, 3, 2).x
      const together = await preprocess.apply(fresh)
      const alone = await preprocess.apply({ data: fresh.data.slice(8 * 7, 8 * 8), rows: 1, cols: 8 })
      const width = together.cols
      expect(largestDifference(alone.data, together.data.subarray(7 * width, 8 * width))).toBeLessThan(1e-6)
    }
  })

  it('pca has the components of scikit-learn on iris, their signs too', async () => {
    const rows = [iris().train, iris().test].map(({ x }) => x)
    // In the order of the file: every third row was held out.
    const all = new Float32Array(600)
    let [from, held] = [0, 0]
    for (let i = 0; i < 150; i++) {
      const [part, at] = i % 3 === 0 ? [rows[1]!, held++] : [rows[0]!, from++]
      all.set(part.data.subarray(4 * at, 4 * at + 4), 4 * i)
    }
    const x = { data: all, rows: 150, cols: 4 }
    const { projection } = await fitPca(x, { components: 3, whiten: false }, options)
    // The file has six digits; scikit-learn's sign of a component is that of its largest entry.
    const signed = reference.pca.components.flatMap((row: number[]) => {
      const largest = row.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a))
      return row.map((v) => v * Math.sign(largest))
    })
    // In float32: the third has a hundredth of the first one's variance.
    expect(largestDifference(projection.data, signed)).toBeLessThan(1e-4)
    const { variance } = spread((await prepared('pca:3', x)).x)
    expect(largestDifference(variance, reference.pca.variance)).toBeLessThan(1e-5)
  })

  it('pca of many columns, by a random subspace, catches the variance of the exact components', async () => {
    const x = wide()
    const { rows, cols } = x
    const centre = Float64Array.from({ length: cols }, (_, j) => {
      let sum = 0
      for (let i = 0; i < rows; i++) sum += x.data[i * cols + j]! / rows
      return sum
    })
    const gram = new Float64Array(rows * rows)
    for (let a = 0; a < rows; a++)
      for (let b = 0; b <= a; b++) {
        let sum = 0
        for (let j = 0; j < cols; j++)
          sum += (x.data[a * cols + j]! - centre[j]!) * (x.data[b * cols + j]! - centre[j]!)
        gram[a * rows + b] = gram[b * rows + a] = sum / (rows - 1)
      }
    const exact = symmetricEigen(gram, rows).values
    const { variance, covariance } = spread((await prepared('pca:8', x)).x)
    variance.forEach((v, k) => {
      expect(v / exact[k]!).toBeCloseTo(1, 4)
    })
    expect(covariance / exact[0]!).toBeLessThan(1e-4)
    const white = spread((await prepared('pca-whiten:8', x)).x)
    for (const v of white.variance) expect(v).toBeCloseTo(1, 3)
    expect(white.covariance).toBeLessThan(1e-3)
  })

  it('pca looks at the signal between its rows', async () => {
    let looks = 0
    const signal = signalWhen(() => ++looks > 40)
    await expect(fitPreprocess(parsePreprocess('pca:30'), wide(), { ...options, signal })).rejects.toMatchObject({
      code: 'INTERRUPTED',
    })
  })

  const one = directions(800, 1000)
  it.each(['standardise', 'l2', 'power', 'pca:6', 'pca-whiten:6', 'standardise+pca:6'])(
    '%s is the same in one block of rows and in three, tells how far it is, and stops between them',
    async (text) => {
      // The rows three times: the same means, deviations and components (a whitened one, by the rows less one).
      const data = new Float32Array(3 * one.data.length)
      for (const copy of [0, 1, 2]) data.set(one.data, copy * one.data.length)
      const three = { data, rows: 2400, cols: 1000 }
      const seen: number[] = []
      const steps = parsePreprocess(text)
      const many = await fitPreprocess(steps, three, { ...options, onProgress: (fraction) => seen.push(fraction) })
      const few = await prepared(text, one)
      const largest = few.x.data.reduce((most, v) => Math.max(most, Math.abs(v)), 0)
      const end = many.x.data.subarray(2 * few.x.data.length)
      expect(largestDifference(end, few.x.data)).toBeLessThan(2e-3 * largest)
      expect([...seen].sort((a, b) => a - b)).toEqual(seen)
      expect(seen.length).toBeGreaterThanOrEqual(3)
      expect(seen.at(-1)).toBeCloseTo(1, 10)
      let told = 0
      const signal = signalWhen(() => told >= 2)
      const stopped = fitPreprocess(steps, three, { ...options, signal, onProgress: () => told++ })
      await expect(stopped).rejects.toMatchObject({ code: 'INTERRUPTED' })
      expect(told).toBe(2)
      await expect(many.preprocess.apply(three, 1, AbortSignal.abort())).rejects.toMatchObject({ code: 'INTERRUPTED' })
    },
  )
})

import { readFileSync } from 'node:fs'
import { createRandom } from '../../src/base/random.js'
import type { Matrix, TrainingSet } from '../../src/trainers/contract.js'
import { pickRows } from '../../src/trainers/linalg/gemm.js'

const read = (name: string): any =>
  JSON.parse(readFileSync(new URL(`../fixtures/trainers/${name}`, import.meta.url), 'utf8'))

/** What scikit-learn found on the same rows (test/fixtures/trainers/make_reference.py). */
export const reference = read('reference.json')

/** Objectives of LinearSVC at large C (make_large_c.py). */
export const largeC: Readonly<Record<string, number>> = read('large-c.json')

/** Nearest neighbours, centroids and logistic regression at C = 10000 of scikit-learn (make_neighbours.py). */
export const neighbours = read('neighbours.json')

export interface Split {
  readonly train: TrainingSet
  readonly test: TrainingSet
}

export function takeRows(set: TrainingSet, rows: readonly number[]): TrainingSet {
  return { x: pickRows(set.x, rows), y: Int32Array.from(rows, (i) => set.y[i]!), classes: set.classes }
}

/** Every third row, from the first, is held out, as in the generator. */
export function splitRows(x: Float32Array, y: number[], classes: readonly string[]): Split {
  const set = { x: { data: x, rows: y.length, cols: x.length / y.length }, y: Int32Array.from(y), classes }
  const rows = [...y.keys()]
  return {
    train: takeRows(
      set,
      rows.filter((i) => i % 3 !== 0),
    ),
    test: takeRows(
      set,
      rows.filter((i) => i % 3 === 0),
    ),
  }
}

export function iris(): Split {
  const { x, y, classes } = read('iris.json')
  return splitRows(Float32Array.from(x), y, classes)
}

/** The digits' pixels from 0 to 16, `[rows, 64]`, and which digits they are. */
export function pixels(): { readonly x: Uint8Array; readonly y: number[] } {
  const { x, y } = read('digits.json')
  return { x: Buffer.from(x, 'base64'), y }
}

export function digits(): Split {
  const { x, y } = pixels()
  return splitRows(
    Float32Array.from(x, (v) => v / 16),
    y,
    [...'0123456789'],
  )
}

/** Overlapping clusters after a ReLU, as embeddings look. */
export function clusters(rows: number, cols: number, classes: number, seed = 1, spread = 1): TrainingSet {
  const means = createRandom(`means/${cols}/${classes}`)
  const centre = Float32Array.from({ length: classes * cols }, () => means.normal() * 0.7)
  const random = createRandom(seed)
  const y = Int32Array.from({ length: rows }, (_, i) => i % classes)
  const data = new Float32Array(rows * cols)
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < cols; j++)
      data[i * cols + j] = Math.max(0, centre[y[i]! * cols + j]! + spread * random.normal())
  return { x: { data, rows, cols }, y, classes: Array.from({ length: classes }, (_, c) => `class ${c}`) }
}

export function accuracy(scores: Float32Array, y: Int32Array, classes: number): number {
  let right = 0
  for (let i = 0; i < y.length; i++) {
    let best = 0
    for (let c = 1; c < classes; c++) if (scores[i * classes + c]! > scores[i * classes + best]!) best = c
    if (best === y[i]) right++
  }
  return right / y.length
}

/** The products of every two columns of the rows. */
export function pairProducts(set: TrainingSet): TrainingSet {
  const { rows, cols, data } = set.x
  const wide = Float32Array.from(
    Array.from({ length: rows }, (_, r) => {
      const row = data.subarray(cols * r, cols * (r + 1))
      return [...row].flatMap((v, i) => [...row.subarray(i)].map((u) => u * v))
    }).flat(),
  )
  return { ...set, x: { data: wide, rows, cols: wide.length / rows } }
}

export const matrix = (rows: readonly (readonly number[])[]): Matrix => ({
  data: Float32Array.from(rows.flat()),
  rows: rows.length,
  cols: rows[0]!.length,
})

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.NaN
  let most = 0
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i]! - b[i]!))
  return most
}

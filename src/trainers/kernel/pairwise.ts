/** Place of (a, b), a < b, in libsvm's order of pairs. */
export const pairIndex = (a: number, b: number, classes: number): number =>
  a * (classes - 1) - (a * (a - 1)) / 2 + (b - a - 1)
export const pairCount = (classes: number): number => (classes * (classes - 1)) / 2

/** Pairs of classes in libsvm's order: (0,1), (0,2) …, (1,2) … */
export function pairs(classes: number): [number, number][] {
  const list: [number, number][] = []
  for (let a = 0; a < classes; a++) for (let b = a + 1; b < classes; b++) list.push([a, b])
  return list
}

/**
 * What some rows' decisions on the pair (a, b), whose place is p, are made of: row i's is bias + first[firstAt + i] +
 * second[secondAt + i], positive for a. The halves come from the support vectors of a and of b.
 */
export interface PairHalves {
  readonly p: number
  readonly a: number
  readonly b: number
  readonly bias: number
  readonly first: Float32Array
  readonly firstAt: number
  readonly second: Float32Array
  readonly secondAt: number
}

/** Writes a pair's column of the decisions `[rows, pairs]`. */
export function writeDecisions(
  { p, bias, first, firstAt, second, secondAt }: PairHalves,
  out: Float64Array,
  rows: number,
  count: number,
): void {
  for (let i = 0, at = p; i < rows; i++, at += count) out[at] = bias + first[firstAt + i]! + second[secondAt + i]!
}

/**
 * Pair decisions (positive: the first class of the pair) of some rows to one score a row and class: the votes won, plus
 * the summed decisions squeezed into (−1/3, 1/3), which settle ties. scikit-learn's `decision_function_shape="ovr"`.
 */
export class Votes {
  /** `[classes, rows]` both. */
  readonly #sums: Float64Array
  readonly #won: Int32Array

  readonly #classes: number
  readonly #rows: number

  constructor(classes: number, rows: number) {
    this.#classes = classes
    this.#rows = rows

    this.#sums = new Float64Array(classes * rows)
    this.#won = new Int32Array(classes * rows)
  }

  add({ a, b, bias, first, firstAt, second, secondAt }: PairHalves): void {
    const sums = this.#sums
    const won = this.#won
    const rows = this.#rows
    for (let i = 0, of = a * rows, against = b * rows; i < rows; i++, of++, against++) {
      const d = bias + first[firstAt + i]! + second[secondAt + i]!
      sums[of]! += d
      sums[against]! -= d
      // A number from the comparison: half of all pairs go either way, and a branch would be mispredicted as often.
      const wins = +(d > 0)
      won[of]! += wins
      won[against]! += 1 - wins
    }
  }

  /** Writes `[rows, classes]` from `at` on. */
  write(out: Float32Array, at: number): void {
    const sums = this.#sums
    const won = this.#won
    const rows = this.#rows
    const classes = this.#classes
    for (let i = 0; i < rows; i++) {
      for (let c = 0; c < classes; c++) {
        const sum = sums[c * rows + i]!
        out[at + i * classes + c] = won[c * rows + i]! + sum / (3 * (Math.abs(sum) + 1))
      }
    }
  }
}

/**
 * Class probabilities from the pairs' probabilities: the minimum of Σ (r_ji p_i − r_ij p_j)², the second method of Wu,
 * Lin and Weng 2004, by their fixed-point iteration, which libsvm follows too.
 *
 * @param r `[classes, classes]`, r[i,j] the probability of i against j; the diagonal is not read
 */
export function couplePairs(r: Float64Array, classes: number, out: Float32Array, at: number): void {
  const k = classes
  const q = new Float64Array(k * k)
  for (let i = 0; i < k; i++) {
    for (let j = 0; j < k; j++) {
      if (j === i) continue
      q[i * k + i]! += r[j * k + i]! * r[j * k + i]!
      q[i * k + j] = -r[j * k + i]! * r[i * k + j]!
    }
  }
  const p = new Float64Array(k).fill(1 / k)
  const qp = new Float64Array(k)
  const enough = 0.005 / k
  for (let iteration = 0; iteration < Math.max(100, k); iteration++) {
    let pqp = 0
    for (let i = 0; i < k; i++) {
      let sum = 0
      for (let j = 0; j < k; j++) sum += q[i * k + j]! * p[j]!
      qp[i] = sum
      pqp += p[i]! * sum
    }
    let error = 0
    for (let i = 0; i < k; i++) error = Math.max(error, Math.abs(qp[i]! - pqp))
    if (error < enough) break
    for (let i = 0; i < k; i++) {
      const move = (pqp - qp[i]!) / q[i * k + i]!
      p[i]! += move
      pqp = (pqp + move * (move * q[i * k + i]! + 2 * qp[i]!)) / (1 + move) ** 2
      for (let j = 0; j < k; j++) {
        qp[j] = (qp[j]! + move * q[i * k + j]!) / (1 + move)
        p[j]! /= 1 + move
      }
    }
  }
  for (let c = 0; c < k; c++) out[at + c] = p[c]!
}

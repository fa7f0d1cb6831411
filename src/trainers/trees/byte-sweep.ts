import type { NodeRows, SearchOptions } from './search.js'
import { type Cut, xlogx } from './sweep.js'
import { placeBits, placeMask } from './wasm/sorting.js'

/** In a column's list: set on the last row of every code. */
export const lastOf = (list: Uint16Array | Uint32Array): number => (list.BYTES_PER_ELEMENT === 2 ? 2 ** 15 : 2 ** 31)

/**
 * The best cut of one column by gini for nodes that hold much of all rows, from the column's own list: nothing is gathered and nothing
 * sorted.
 *
 * @param list rows of the column with a code above 0 by falling code, {@link lastOf} set on the last of every code
 * @param weights `[rows]` of the node's rows, 0 for others
 * @param y `[rows]`
 * @param high `[classes]`, all 0
 * @returns the place in the list of the last row above the cut if it is better than the best so far, else -1
 */
export function sweepList(
  list: Uint16Array | Uint32Array,
  from: number,
  m: number,
  weights: Float64Array,
  y: Int32Array,
  { counts, total, sum }: NodeRows,
  high: Float64Array,
  minWeight: number,
  best: Cut,
): number {
  const last = lastOf(list)
  const mask = last - 1
  let highSum = 0
  let lowSum = sum
  let highWeight = 0
  let bestGain = best.gain
  let bestPlace = -1
  for (let k = 0; k < m; k++) {
    const entry = list[from + k]!
    const row = entry & mask
    const c = y[row]!
    const weight = weights[row]!
    const h = high[c]!
    highSum += weight * (2 * h + weight)
    lowSum += weight * (weight - 2 * (counts[c]! - h))
    high[c] = h + weight
    highWeight += weight
    const lowWeight = total - highWeight
    const product = highWeight * lowWeight
    const gain = highSum * lowWeight + lowSum * highWeight
    if (gain > bestGain * product && entry >= last && highWeight >= minWeight && lowWeight >= minWeight) {
      bestGain = gain / product
      bestPlace = k
    }
  }
  high.fill(0)
  if (bestPlace >= 0) best.gain = bestGain
  return bestPlace
}

/**
 * The best cut of one column by entropy.
 *
 * @param sorted `m` entries by falling code, then a 0
 * @param high `[classes]`, all 0
 * @returns false where the column is constant in the node
 */
export function sweepEntropy(
  sorted: Int32Array,
  m: number,
  node: NodeRows,
  high: Float64Array,
  { minRows, minWeight }: SearchOptions,
  feature: number,
  best: Cut,
): boolean {
  const { y, w, n, counts, total } = node
  if (m === n && sorted[0]! >>> placeBits === sorted[m - 1]! >>> placeBits) return false
  let { sum } = node
  let highWeight = 0
  for (let k = 0; k < m; k++) {
    const place = sorted[k]! & placeMask
    const c = y[place]!
    const weight = w[place]!
    const h = high[c]!
    const l = counts[c]! - h
    sum += xlogx(h + weight) - xlogx(h) + xlogx(l - weight) - xlogx(l)
    high[c] = h + weight
    highWeight += weight
    const next = sorted[k + 1]! >>> placeBits
    if (next === sorted[k]! >>> placeBits || k + 1 < minRows || n - k - 1 < minRows) continue
    const lowWeight = total - highWeight
    if (highWeight < minWeight || lowWeight < minWeight) continue
    const gain = sum - xlogx(highWeight) - xlogx(lowWeight)
    if (gain > best.gain) {
      best.gain = gain
      best.feature = feature
      best.code = next
    }
  }
  for (let k = 0; k < m; k++) high[y[sorted[k]! & placeMask]!] = 0
  return true
}

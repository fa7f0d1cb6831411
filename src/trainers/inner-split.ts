import { createRandom } from '../base/random.js'
import type { TrainingSet } from './contract.js'

/** With fewer rows than this the held part would be too small to judge by: all rows train. */
const minRowsToSplit = 200

/** Holds back about `share` of every class for early stopping, groups whole; nothing of fewer than 200 rows. */
export function innerSplit(set: TrainingSet, share: number, seed: number): { train: Int32Array; held: Int32Array } {
  const { y, groups } = set
  const rows = Array.from(y, (_, i) => i)
  if (share === 0 || rows.length < minRowsToSplit) return { train: Int32Array.from(rows), held: new Int32Array() }
  const units = new Map<string, number[]>()
  for (const row of rows) {
    const key = groups?.[row] == null ? `row ${row}` : `group ${groups[row]}`
    const unit = units.get(key)
    if (unit) unit.push(row)
    else units.set(key, [row])
  }
  const wanted = new Float64Array(set.classes.length)
  const left = new Float64Array(set.classes.length)
  for (const row of rows) left[y[row]!]!++
  left.forEach((n, c) => {
    wanted[c] = Math.floor(n * share)
  })
  const held: number[] = []
  for (const unit of createRandom(seed)
    .fork('early stopping')
    .shuffled([...units.values()])) {
    const c = y[unit[0]!]!
    if (unit.length > wanted[c]! || unit.some((row) => y[row] !== c)) continue
    wanted[c]! -= unit.length
    held.push(...unit)
  }
  const out = new Set(held)
  return {
    train: Int32Array.from(rows.filter((row) => !out.has(row))),
    held: Int32Array.from(held.sort((a, b) => a - b)),
  }
}

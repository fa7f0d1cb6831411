import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../src/base/random.js'
import { binColumns, binForest } from '../../src/trainers/trees/binning.js'
import { ByteSearch } from '../../src/trainers/trees/byte-search.js'
import type { NodeRows, TreeData } from '../../src/trainers/trees/search.js'
import { sumOf } from '../../src/trainers/trees/sweep.js'
import { WideSearch } from '../../src/trainers/trees/wide-search.js'

const rows = 900
const cols = 12
const classes = 5
const random = createRandom('search')
// At most 200 distinct values a column: both kinds of codes are exact. Column 3 has negative values, column 5 is constant.
const x = Float32Array.from({ length: rows * cols }, (_, at) => {
  const f = at % cols
  const v = Math.round(random.normal() * 30) / 10
  return f === 5 ? 2 : f === 3 ? v : Math.max(0, v)
})
const y = Int32Array.from({ length: rows }, () => random.int(classes))
const range = { x, rows, cols, from: 0, to: cols }
const size = rows * cols

function dataOf(kind: 'wide' | 'bytes'): TreeData {
  const forest = {
    codes: new Uint8Array(size),
    lists: new Uint16Array(size),
    lengths: new Int32Array(cols),
    zeros: new Uint8Array(cols),
  }
  const codes = new Uint16Array(kind === 'wide' ? size : 0)
  if (kind === 'wide') binColumns(range, codes, 65_536)
  else binForest(range, forest, 256)
  return { x, rows, cols, classes, y, codes, forest }
}

describe.each(['gini', 'entropy'] as const)('searches by %s', (criterion) => {
  const find = (kind: 'wide' | 'bytes', own: Int32Array, weights: Float64Array, minRows: number) => {
    const data = dataOf(kind)
    const options = { criterion, tried: cols, minRows, minWeight: 1e-3 }
    const draw = createRandom('draw')
    const search =
      kind === 'wide' ? new WideSearch(data, options, own.length, draw) : new ByteSearch(data, options, draw)
    const { y: classOf, w, counts } = search.room
    own.forEach((row, k) => {
      classOf[k] = y[row]!
      w[k] = weights[row]!
      counts[y[row]!]! += weights[row]!
    })
    const total = counts.reduce((a, b) => a + b, 0)
    const node: NodeRows = {
      rows: own.slice(),
      y: classOf,
      w,
      counts,
      from: 0,
      n: own.length,
      total,
      sum: sumOf(counts, criterion),
    }
    const cut = search.search(node)
    const { middle, threshold } = search.part(cut, node, new Int32Array(rows))
    const left = node.rows.subarray(0, middle)
    expect([...left].every((row) => x[row * cols + cut.feature]! <= threshold)).toBe(true)
    expect([...node.rows.subarray(middle)].every((row) => x[row * cols + cut.feature]! > threshold)).toBe(true)
    return { gain: cut.gain, feature: cut.feature, threshold, left: [...left].sort((a, b) => a - b) }
  }

  // More than a sixth of all rows are searched by lists; lists of more than 16 entries are sorted another way than short ones.
  it.each([700, 140, 60, 20, 7, 3])('find the same cut of %d rows in codes of one byte and of two', (n) => {
    for (let trial = 0; trial < 10; trial++) {
      const own = Int32Array.from({ length: rows }, (_, i) => i)
      random.shuffle(own)
      const weights = Float64Array.from({ length: rows }, () => 1 + random.int(3))
      for (const minRows of n > 20 ? [1, 5] : [1]) {
        const picked = own.slice(0, n).sort()
        const [wide, bytes] = [find('wide', picked, weights, minRows), find('bytes', picked, weights, minRows)]
        expect(bytes.gain).toBeCloseTo(wide.gain, 8)
        // Small nodes have several cuts that are equally good.
        if (n > 20) expect(bytes).toEqual({ ...wide, gain: bytes.gain })
      }
    }
  })
})

import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../../src/base/random.js'
import { binColumns, binForest } from '../../../src/trainers/trees/bins/binning.js'
import { scoreOf, sumOf } from '../../../src/trainers/trees/criterion.js'
import type { TreeNodes } from '../../../src/trainers/trees/growing/arrays.js'
import { growClassificationTree } from '../../../src/trainers/trees/growing/classification.js'
import { growForestTree, leavesOfOthers } from '../../../src/trainers/trees/growing/forest-tree.js'
import { openForestStorage } from '../../../src/trainers/trees/wasm/forest/forest-arena.js'

const rows = 900
const cols = 12
const classes = 5
const random = createRandom('search')
// At most 200 distinct values a column: both kinds of codes are exact. Column 3 has negative values, column 5 is
// constant.
const x = Float32Array.from({ length: rows * cols }, (_, at) => {
  const f = at % cols
  const v = Math.round(random.normal() * 30) / 10
  return f === 5 ? 2 : f === 3 ? v : Math.max(0, v)
})
const y = Int32Array.from({ length: rows }, () => random.int(classes))
const range = { x, rows, cols, from: 0, to: cols }
const codes = new Uint16Array(rows * cols)
binColumns(range, codes, 65_536)
const room = openForestStorage({ rows, cols, classes, tried: cols }, 1)
binForest(range, room, 256)
const data = { x, rows, cols, classes, y, codes }

describe.each(['gini', 'entropy'] as const)('trees by %s', (criterion) => {
  // Lists of more than 16 entries are sorted another way than short ones.
  it.each([700, 140, 60, 20, 7, 3])('cut %d rows as well alone as in a forest', (n) => {
    for (let trial = 0; trial < 10; trial++) {
      const own = Int32Array.from({ length: rows }, (_, i) => i)
      random.shuffle(own)
      const weights = new Float64Array(rows)
      for (const row of own.slice(0, n)) weights[row] = 1 + random.int(3)
      const worthOf = ({ feature, threshold }: TreeNodes): number => {
        const sides = [new Float64Array(classes), new Float64Array(classes)]
        weights.forEach((w, row) => {
          sides[Number(x[row * cols + feature[0]!]! > threshold[0]!)]![y[row]!]! += w
        })
        const worths = sides.map((side) => {
          const total = side.reduce((a, b) => a + b, 0)
          return scoreOf(sumOf(side, criterion), total, criterion)
        })
        return worths[0]! + worths[1]!
      }
      for (const minRows of n > 20 ? [1, 5] : [1]) {
        const options = { criterion, minRows, maxDepth: 1 }
        const alone = growClassificationTree(data, weights, options, createRandom(trial))
        const forest = { ...options, randomCuts: false }
        const among = growForestTree(data, room, weights, forest, createRandom(trial), 0)
        expect(worthOf(among)).toBeCloseTo(worthOf(alone), 8)
        // Small nodes have several cuts that are equally good.
        if (n <= 20) continue
        expect(among.feature).toEqual(alone.feature)
        expect(among.values).toEqual(alone.values)
        const value = (row: number) => x[row * cols + alone.feature[0]!]!
        const isLeft = ({ threshold }: TreeNodes) => [...own.slice(0, n)].filter((row) => value(row) <= threshold[0]!)
        expect(isLeft(among)).toEqual(isLeft(alone))
      }
    }
  })
})

it('rows that were not drawn fall to the leaves that the thresholds send them to', () => {
  const weights = Float64Array.from({ length: rows }, () => random.int(2))
  const options = { criterion: 'gini', minRows: 1, maxDepth: 100, randomCuts: false } as const
  const tree = growForestTree(data, room, weights, options, createRandom(1), 0)
  const leaves = leavesOfOthers(data, room, tree, 0, (row) => weights[row] === 0)
  const walk = (row: number): number => {
    let node = 0
    for (let f = tree.feature[0]!; f >= 0; f = tree.feature[node]!)
      node = x[row * cols + f]! <= tree.threshold[node]! ? tree.left[node]! : tree.right[node]!
    return tree.leaf[node]!
  }
  expect(leaves).toEqual(Int32Array.from(weights, (w, row) => (w > 0 ? -1 : walk(row))))
})

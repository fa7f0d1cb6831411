import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../../src/base/random.js'
import { binQuantiles, cutStride } from '../../../src/trainers/trees/bins/quantile-bins.js'
import { BoostHistograms } from '../../../src/trainers/trees/boosting/histograms.js'
import { BoostLists, type SearchedNode } from '../../../src/trainers/trees/boosting/lists.js'

const rows = 600
const cols = 40
const bins = 100
const random = createRandom('boosting')
// Zeros in two thirds of most columns; column 3 has negative values, 5 is constant, 7 has few distinct values, 9 few
// that are not 0.
const x = Float32Array.from({ length: rows * cols }, (_, at) => {
  const f = at % cols
  const v = random.normal()
  if (f === 3) return v
  if (f === 5) return 2
  if (f === 7) return Math.max(0, Math.round(v))
  return Math.max(0, v - (f === 9 ? 2.5 : 0.5))
})
const codes = new Uint8Array(rows * cols)
binQuantiles({ x, rows, cols, from: 0, to: cols }, codes, new Float32Array(cols * cutStride(rows, bins)), bins)
const data = { x, rows, cols, classes: 2, y: new Int32Array(rows), codes }
const gradient = Float32Array.from({ length: rows }, () => random.normal())
const hessian = Float32Array.from({ length: rows }, () => random.next() / 4)

const nodeOf = (list: Int32Array, from: number, n: number): SearchedNode => {
  const part = list.subarray(from, from + n)
  const sum = (of: Float32Array): number => part.reduce((total, row) => total + of[row]!, 0)
  return { from, n, gradient: sum(gradient), hessian: sum(hessian), own: 0, gain: 0, column: -1, code: -1 }
}

/** Rows of the left side before the others, both in their order; how many are left. */
function divide(list: Int32Array, { from, n, code }: SearchedNode, column: number): number {
  const part = [...list.subarray(from, from + n)]
  const isLeft = (row: number): boolean => codes[column * rows + row]! <= code
  const left = part.filter(isLeft)
  list.set([...left, ...part.filter((row) => !isLeft(row))], from)
  return left.length
}

describe.each([
  { minRows: 1, l2: 0, minHessian: 1e-3 },
  { minRows: 20, l2: 0, minHessian: 1e-3 },
  { minRows: 5, l2: 3, minHessian: 2 },
])('sorted lists of boosted trees, %o', (limits) => {
  const histograms = new BoostHistograms(data, bins, limits)
  const expectSame = (node: SearchedNode, list: Int32Array, columns: Int32Array): void => {
    const other = { ...node, gain: 0, column: -1, code: -1 }
    histograms.begin(gradient, hessian, columns)
    histograms.judge(other, histograms.fill(list, node.from, node.n))
    expect(node.gain).toBeCloseTo(other.gain, 10)
    // Small nodes have several cuts that are equally good.
    if (node.n > 40) expect([node.column, node.code]).toEqual([other.column, other.code])
  }

  it.each([
    ['all rows, all columns', rows, cols],
    ['some rows, some columns', 400, 13],
  ])('find the cuts that histograms show, in a root and below: %s', (_, n, tried) => {
    const train = Int32Array.from({ length: rows }, (__, i) => i)
    createRandom(n).shuffle(train)
    const own = train.slice(0, n)
    // The lists of all rows that trees grow on are made once, those of others when they are met.
    for (const root of [own, train]) {
      const lists = new BoostLists(data, rows, root, limits)
      const columns = Int32Array.from({ length: tried }, (__, j) => j * 3)
      for (const ofTree of [columns, columns.map((f) => f + 1)].map((list) => list.filter((f) => f < cols))) {
        lists.begin(gradient, hessian, ofTree)
        const list = own.slice()
        const first = nodeOf(list, 0, n)
        lists.start(first, list)
        expectSame(first, list, ofTree)
        const open = [first]
        for (let node = open.pop(); node && node.gain > 0; node = open.pop()) {
          const left = divide(list, node, ofTree[node.column]!)
          const children = [nodeOf(list, node.from, left), nodeOf(list, node.from + left, node.n - left)]
          const [wanted, other] = children.map((child) => ({ node: child, wanted: child.n >= 2 * limits.minRows }))
          lists.split(node.lists!, list, wanted!, other!)
          for (const child of [wanted!, other!])
            if (child.wanted) {
              expectSame(child.node, list, ofTree)
              open.push(child.node)
            }
        }
      }
    }
  })
})

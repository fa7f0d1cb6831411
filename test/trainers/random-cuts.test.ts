import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../src/base/random.js'
import { binCuts } from '../../src/trainers/trees/binning.js'
import { RandomCuts } from '../../src/trainers/trees/random-cuts.js'
import { ColumnDraw, type NodeRows, type TreeData } from '../../src/trainers/trees/search.js'
import { sumOf } from '../../src/trainers/trees/sweep.js'
import { checkCutSize, cutArenaFor, cutCodes, openCutRoom } from '../../src/trainers/trees/wasm/cut-arena.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const rows = 2000
const cols = 600
const random = createRandom('cuts')
// Column 4 is constant, column 6 has negative values, column 8 three values.
const x = Float32Array.from({ length: rows * cols }, (_, at) => {
  const f = at % cols
  return f === 4 ? 1 : f === 6 ? random.normal() : f === 8 ? random.int(3) : Math.max(0, random.normal())
})
/** Bins for so many classes and columns tried. */
function binned(classes: number, tried: number) {
  const room = openCutRoom({ rows, cols, classes, tried }, 2)
  binCuts({ x, rows, cols, from: 0, to: 100 }, room, 256)
  binCuts({ x, rows, cols, from: 100, to: cols }, room, 256)
  return room
}

it('bins follow the values, lie row by row as column by column, and tell where 0 is nothing but zeros', () => {
  const { columns, rows: byRow, zeros } = cutCodes(binned(2, 1))
  const { rowBytes } = binned(2, 1)
  for (const f of [0, 4, 6, 8, 99, 100, cols - 1]) {
    const order = [...Array(rows).keys()].sort((a, b) => x[a * cols + f]! - x[b * cols + f]!)
    const codes = order.map((row) => columns[f * rows + row]!)
    expect(codes).toEqual([...codes].sort((a, b) => a - b))
    expect(order.map((row) => byRow[row * rowBytes + f]!)).toEqual(codes)
    expect(zeros[f]).toBe(order.every((row, k) => (codes[k] === 0) === (x[row * cols + f] === 0)) ? 1 : 0)
  }
  expect(new Set(Array.from({ length: rows }, (_, row) => columns[8 * rows + row])).size).toBe(3)
})

it('two fits in one thread keep a part each, and a room is let go with its fit', async () => {
  const size = { rows: 10, cols: 3, classes: 2, tried: 1 }
  const memories: WeakRef<object>[] = []
  const work = (): void => {
    const [one, other] = [openCutRoom(size, 1), openCutRoom(size, 1)]
    const part = cutArenaFor(one, 0)
    expect(cutArenaFor(other, 0)).not.toBe(part)
    expect(cutArenaFor(one, 0)).toBe(part)
    for (const { memory } of [one, other]) memories.push(new WeakRef(memory))
  }
  work()
  for (let turn = 0; turn < 20 && memories.some((memory) => memory.deref()); turn++) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    collectGarbage()
  }
  expect(memories.map((memory) => memory.deref())).toEqual([undefined, undefined])
})

it('rows that do not fit into 4 GiB are refused', () => {
  expect(() => checkCutSize(1 << 20, 4096)).toThrow(expect.objectContaining({ code: 'TRAINER_TOO_LARGE' }))
  expect(() => checkCutSize(1 << 18, 4096)).not.toThrow()
})

describe.each(['gini', 'entropy'] as const)("extra-trees' cuts by %s", (criterion) => {
  it.each([
    [2000, 5, 1],
    [150, 40, 1],
    [61, 5, 7],
    [7, 40, 1],
    [2, 3, 1],
  ])('of %d rows in %d classes are those of the definition, with %d rows in a leaf', (n, classes, minRows) => {
    const y = Int32Array.from({ length: rows }, () => random.int(classes))
    const data = { x, rows, cols, classes, y } as unknown as TreeData
    const room = binned(classes, 9)
    const { columns } = cutCodes(room)
    const options = { criterion, tried: 9, minRows, minWeight: 1.5 }
    for (let trial = 0; trial < 20; trial++) {
      const list = Int32Array.from({ length: rows }, (_, i) => i)
      random.shuffle(list)
      const own = list.slice(0, n)
      const weights = Float64Array.from(own, () => 1 + random.int(3))
      const search = new RandomCuts(data, options, createRandom(trial), room, trial % 2)
      const { y: classOf, w, counts } = search.room
      own.forEach((row, k) => {
        classOf[k] = y[row]!
        w[k] = weights[k]!
        counts[y[row]!]! += weights[k]!
      })
      const worthOf = (list: readonly number[]): { weight: number; worth: number } => {
        const of = new Float64Array(classes)
        for (const k of list) of[y[own[k]!]!]! += weights[k]!
        const weight = of.reduce((a, b) => a + b, 0)
        const worth =
          criterion === 'gini' ? sumOf(of, criterion) / weight : sumOf(of, criterion) - weight * Math.log2(weight)
        return { weight, worth }
      }
      const all = [...own.keys()]
      const node: NodeRows = {
        rows: own,
        y: classOf,
        w,
        counts,
        from: 0,
        n,
        total: worthOf(all).weight,
        sum: sumOf(counts, criterion),
      }
      const words = new Uint32Array(options.tried)
      const draw = new ColumnDraw(cols, options.tried, createRandom(trial), words)
      draw.first()
      if (n > 64) draw.sort()
      // By column; more than one may be as good as the best.
      const found = new Map<number, { gain: number; code: number }>()
      words.forEach((word, d) => {
        const feature = draw.columns[d]!
        const codes = [...own].map((row) => columns[feature * rows + row]!)
        const [low, top] = [Math.min(...codes), Math.max(...codes)]
        const code = low + Math.floor(((word % 65_536) / 65_536) * (top - low))
        const right = worthOf(all.filter((k) => codes[k]! > code))
        const left = worthOf(all.filter((k) => codes[k]! <= code))
        const count = codes.filter((own) => own > code).length
        if (low === top || Math.min(count, n - count) < minRows || Math.min(left.weight, right.weight) < 1.5) return
        found.set(feature, { gain: left.worth + right.worth, code })
      })
      const cut = search.search(node)
      if (found.size === 0) {
        expect(cut.feature).toBe(-1)
        continue
      }
      const chosen = found.get(cut.feature)!
      expect(cut.gain).toBeCloseTo(Math.max(...[...found.values()].map(({ gain }) => gain)), 8)
      expect(chosen.gain).toBeCloseTo(cut.gain, 8)
      expect(cut.code).toBe(chosen.code)
      const before = [...own]
      const { middle, threshold } = search.part(cut, node, new Int32Array(n))
      const value = (row: number) => x[row * cols + cut.feature]!
      const isLeft = (row: number) => columns[cut.feature * rows + row]! <= cut.code
      expect([...own]).toEqual([...before.filter(isLeft), ...before.filter((row) => !isLeft(row))])
      const values = Array.from(own, value)
      const [below, above] = [Math.max(...values.slice(0, middle)), Math.min(...values.slice(middle))]
      expect(threshold).toBeGreaterThanOrEqual(below)
      expect(threshold).toBeLessThan(above)
      expect(threshold).toBe(Math.fround((below + above) / 2))
    }
  })
})

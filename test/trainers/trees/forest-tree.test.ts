import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../../src/base/random.js'
import { binForest } from '../../../src/trainers/trees/bins/binning.js'
import { scoreOf, sumOf } from '../../../src/trainers/trees/criterion.js'
import { growForestTree } from '../../../src/trainers/trees/growing/forest-tree.js'
import type { TreeData } from '../../../src/trainers/trees/growing/search.js'
import {
  checkForestSize,
  forestArenaFor,
  forestCodes,
  openForestStorage,
} from '../../../src/trainers/trees/wasm/forest/forest-arena.js'

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
  const room = openForestStorage({ rows, cols, classes, tried }, 2)
  binForest({ x, rows, cols, from: 0, to: 100 }, room, 256)
  binForest({ x, rows, cols, from: 100, to: cols }, room, 256)
  return room
}

it('bins follow the values, lie row by row as column by column, and know their least and largest value', () => {
  const { columns, rows: byRow, edges } = forestCodes(binned(2, 1))
  const { rowBytes } = binned(2, 1)
  for (const f of [0, 4, 6, 8, 99, 100, cols - 1]) {
    const value = (row: number) => x[row * cols + f]!
    const order = [...Array(rows).keys()].sort((a, b) => value(a) - value(b))
    const codes = order.map((row) => columns[f * rows + row]!)
    expect(codes).toEqual([...codes].sort((a, b) => a - b))
    expect(order.map((row) => byRow[row * rowBytes + f]!)).toEqual(codes)
    for (const code of new Set(codes)) {
      const at = 2 * (f * 256 + code)
      expect(edges[at]).toBe(value(order[codes.indexOf(code)]!))
      expect(edges[at + 1]).toBe(value(order[codes.lastIndexOf(code)]!))
    }
  }
  expect(new Set(Array.from({ length: rows }, (_, row) => columns[8 * rows + row])).size).toBe(3)
})

it('two fits in one thread keep a part each, and a room is released with its fit', async () => {
  const size = { rows: 10, cols: 3, classes: 2, tried: 1 }
  const memories: WeakRef<object>[] = []
  const work = (): void => {
    const [one, other] = [openForestStorage(size, 1), openForestStorage(size, 1)]
    const part = forestArenaFor(one, 0)
    expect(forestArenaFor(other, 0)).not.toBe(part)
    expect(forestArenaFor(one, 0)).toBe(part)
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
  expect(() => checkForestSize(1 << 20, 4096, 2)).toThrow(expect.objectContaining({ code: 'TRAINER_TOO_LARGE' }))
  expect(() => checkForestSize(1 << 18, 4096, 2)).not.toThrow()
})

it('a machine without the memory for a room is told so', () => {
  const whole = WebAssembly.Memory
  const none = class {
    constructor() {
      throw new RangeError('could not allocate memory')
    }
  }
  Object.assign(WebAssembly, { Memory: none })
  try {
    expect(() => openForestStorage({ rows: 10, cols: 3, classes: 2, tried: 1 }, 1)).toThrow(
      expect.objectContaining({ code: 'TRAINER_TOO_LARGE', message: expect.stringContaining('no memory') }),
    )
  } finally {
    Object.assign(WebAssembly, { Memory: whole })
  }
})

/** Words of sfc32 from its four words on. */
function wordsFrom([p, q, r, s]: Uint32Array): () => number {
  const state = Int32Array.of(p!, q!, r!, s!)
  return () => {
    const [a, b, c, d] = state as unknown as [number, number, number, number]
    const t = (a + b + d) | 0
    state.set([b ^ (b >>> 9), c + (c << 3), ((c << 21) | (c >>> 11)) + t, d + 1])
    return t >>> 0
  }
}

describe.each([
  ['extra-trees', 'gini'],
  ['extra-trees', 'entropy'],
  ['a random forest', 'gini'],
  ['a random forest', 'entropy'],
] as const)('trees of %s by %s', (kind, criterion) => {
  const randomCuts = kind === 'extra-trees'
  it.each([
    [2000, 5, 1, randomCuts ? 30 : 1],
    [300, 40, 1, 1000],
    [300, 2, 1, 1000],
    [150, 5, 7, 1000],
    [7, 40, 1, 1000],
    [2, 3, 1, 1000],
  ])(
    'of %d rows in %d classes are those of the definition, %d rows in a leaf, level %d',
    (n, classes, minRows, maxDepth) => {
      const y = Int32Array.from({ length: rows }, () => random.int(classes))
      const data = { x, rows, cols, classes, y } as unknown as TreeData
      const tried = 9
      const room = binned(classes, tried)
      const { columns, edges } = forestCodes(room)
      const codeOf = (row: number, f: number) => columns[f * rows + row]!
      for (let trial = 0; trial < (n >= 300 ? 1 : 3); trial++) {
        const list = Int32Array.from({ length: rows }, (_, i) => i)
        random.shuffle(list)
        const weights = new Float64Array(rows)
        for (const row of list.slice(0, n)) weights[row] = 1 + random.int(3)
        const all = [...weights.keys()].filter((row) => weights[row]! > 0)
        const weigh = (some: readonly number[]) => {
          const of = new Float64Array(classes)
          for (const row of some) of[y[row]!]! += weights[row]!
          const weight = of.reduce((a, b) => a + b, 0)
          return { of, weight, worth: weight > 0 ? scoreOf(sumOf(of, criterion), weight, criterion) : 0 }
        }
        const options = { criterion, minRows, maxDepth, randomCuts }
        const tree = growForestTree(data, room, weights, options, createRandom(trial), trial % 2)

        const state = new Uint32Array(4)
        createRandom(trial).words(state)
        const word = wordsFrom(state)
        const order = Array.from({ length: cols }, (_, f) => f)
        const gained = new Float64Array(cols)
        let nodes = 0
        let early = 0
        // Depth first, the left side before the right one.
        const follow = (id: number, own: readonly number[], depth: number): void => {
          nodes++
          const { of, weight, worth: before } = weigh(own)
          const heaviest = [...of].sort((a, b) => b - a)
          const limit = criterion === 'gini' ? heaviest[0]! + heaviest[1]! - 1e-9 : Number.POSITIVE_INFINITY
          const pure = heaviest[1] === 0
          const found = new Map<number, { gain: number; left: number[]; right: number[] }[]>()
          let best = Number.NEGATIVE_INFINITY
          let varying = 0
          const splits = !pure && depth < maxDepth && own.length >= 2 * minRows
          for (let drawn = 0; splits && best < limit && (drawn < tried || (varying === 0 && drawn < cols)); ) {
            const end = drawn >= tried ? drawn + 1 : own.length <= 16 ? Math.min(drawn + 4, tried) : tried
            const draws: [number, number][] = []
            for (; drawn < end; drawn++) {
              const w = word()
              const pick = drawn + Math.floor((w / 2 ** 32) * (cols - drawn))
              ;[order[drawn], order[pick]] = [order[pick]!, order[drawn]!]
              draws.push([order[drawn]!, w])
            }
            for (const [f, w] of draws) {
              if (best >= limit) break
              const codes = own.map((row) => codeOf(row, f))
              const [low, top] = [Math.min(...codes), Math.max(...codes)]
              if (low === top) continue
              varying++
              const drawnCut = low + Math.floor(((w % 65_536) / 65_536) * (top - low))
              const cuts = randomCuts ? [drawnCut] : [...new Set(codes)].filter((code) => code < top)
              for (const cut of cuts) {
                const left = own.filter((row) => codeOf(row, f) <= cut)
                const right = own.filter((row) => codeOf(row, f) > cut)
                if (Math.min(left.length, right.length) < minRows) continue
                const gain = weigh(left).worth + weigh(right).worth
                found.set(f, [...(found.get(f) ?? []), { gain, left, right }])
                best = Math.max(best, gain)
              }
            }
            if (best >= limit && drawn < tried) early++
          }
          const f = tree.feature[id]!
          if (found.size === 0) {
            expect(f).toBe(-1)
            const leaf = tree.leaf[id]!
            if (pure) expect(of[leaf]).toBe(weight)
            else {
              const shares = tree.values.subarray((leaf - classes) * classes, (leaf - classes + 1) * classes)
              expect(shares).toEqual(Float32Array.from(of, (w) => w / weight))
            }
            return
          }
          // More than one may be as good as the best.
          const isLeft = (row: number) => x[row * cols + f]! <= tree.threshold[id]!
          const { gain, left, right } = found.get(f)!.find((cut) => cut.left.every(isLeft) && !cut.right.some(isLeft))!
          expect(gain).toBeGreaterThan(best - 1e-9)
          gained[f]! += Math.max(0, gain - before)
          const below = edges[2 * (f * 256 + Math.max(...left.map((row) => codeOf(row, f)))) + 1]!
          const above = edges[2 * (f * 256 + Math.min(...right.map((row) => codeOf(row, f))))]!
          expect(tree.threshold[id]).toBe(Math.fround(below / 2 + above / 2))
          follow(tree.left[id]!, left, depth + 1)
          follow(tree.right[id]!, right, depth + 1)
        }
        follow(0, all, 0)
        expect(tree.feature).toHaveLength(nodes)
        const sum = gained.reduce((a, b) => a + b, 0)
        for (let f = 0; f < cols; f++) expect(tree.importance[f]! * sum).toBeCloseTo(gained[f]!, 6)
        if (criterion === 'gini' && n === 300) expect(early).toBeGreaterThan(0)
      }
    },
  )
})

import { expect, it } from '@jest/globals'
import { createRandom } from '../../../src/base/random.js'
import { binForest } from '../../../src/trainers/trees/bins/binning.js'
import { growForestTree } from '../../../src/trainers/trees/growing/forest-tree.js'
import type { TreeData } from '../../../src/trainers/trees/growing/search.js'
import {
  type ForestStorage,
  forestArenaFor,
  openForestStorage,
} from '../../../src/trainers/trees/wasm/forest/forest-arena.js'
import { forestAt } from '../../../src/trainers/trees/wasm/forest/forest-header.js'

const page = 2 ** 16

it.each([
  ['extra-trees', 'gini'],
  ['extra-trees', 'entropy'],
  ['random forests', 'gini'],
  ['random forests', 'entropy'],
] as const)('%s by %s grow the same at the end of 4 GiB and across its middle', (kind, criterion) => {
  const [rows, cols, classes, tried] = [9000, 200, 5, 6]
  const random = createRandom('far')
  const x = Float32Array.from({ length: rows * cols }, () => Math.max(0, random.normal()))
  const y = Int32Array.from({ length: rows }, () => random.int(classes))
  const near = openForestStorage({ rows, cols, classes, tried }, 2)
  // Memory of its own for each: what a tree begins with must be 0.
  const memoryOf = (pages: number) => new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
  const moved = (by: number): ForestStorage => ({
    ...near,
    memory: memoryOf(Math.ceil((by + near.memory.buffer.byteLength) / page)),
    columnsAt: near.columnsAt + by,
    rowsAt: near.rowsAt + by,
    edgesAt: near.edgesAt + by,
    partsAt: near.partsAt + by,
  })
  const { base } = forestArenaFor(near, 1)
  const entries = new Int32Array(near.memory.buffer, base + forestAt.entries, 1)[0]!
  const rooms = [
    near,
    moved(page * page - near.memory.buffer.byteLength),
    moved((page * page) / 2 - near.rowsAt),
    // A short list to be sorted lies across the middle.
    moved((page * page) / 2 - entries - 32),
  ]
  const trees = rooms.map((forest) => {
    binForest({ x, rows, cols, from: 0, to: cols }, forest, 256)
    const data = { x, y, rows, cols, classes, codes: new Uint8Array(0), forest } as unknown as TreeData
    const options = {
      criterion,
      maxDepth: Number.POSITIVE_INFINITY,
      minRows: 1,
      randomCuts: kind === 'extra-trees',
    }
    return growForestTree(data, forest, new Float64Array(rows).fill(1), options, createRandom('tree'), 1)
  })
  expect(trees[0]!.feature.length).toBeGreaterThan(1000)
  expect(trees[1]).toEqual(trees[0])
  expect(trees[2]).toEqual(trees[0])
  expect(trees[3]).toEqual(trees[0])
})

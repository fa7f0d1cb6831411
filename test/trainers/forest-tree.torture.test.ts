import { expect, it } from '@jest/globals'
import { createRandom } from '../../src/base/random.js'
import { binForest } from '../../src/trainers/trees/binning.js'
import { growForestTree } from '../../src/trainers/trees/forest-tree.js'
import type { TreeData } from '../../src/trainers/trees/search.js'
import { type ForestRoom, openForestRoom } from '../../src/trainers/trees/wasm/forest-arena.js'

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
  const near = openForestRoom({ rows, cols, classes, tried }, 2)
  const memory = new WebAssembly.Memory({ initial: page, maximum: page, shared: true })
  const moved = (by: number): ForestRoom => ({
    ...near,
    memory,
    columnsAt: near.columnsAt + by,
    rowsAt: near.rowsAt + by,
    edgesAt: near.edgesAt + by,
    partsAt: near.partsAt + by,
  })
  const rooms = [near, moved(page * page - near.memory.buffer.byteLength), moved((page * page) / 2 - near.rowsAt)]
  const trees = rooms.map((forest) => {
    binForest({ x, rows, cols, from: 0, to: cols }, forest, 256)
    const data = { x, y, rows, cols, classes, codes: new Uint8Array(0), forest } as unknown as TreeData
    const options = {
      criterion,
      tried,
      maxDepth: Number.POSITIVE_INFINITY,
      minRows: 1,
      randomCuts: kind === 'extra-trees',
    }
    return growForestTree(data, forest, new Float64Array(rows).fill(1), options, createRandom('tree'), 1)
  })
  expect(trees[0]!.feature.length).toBeGreaterThan(1000)
  expect(trees[1]).toEqual(trees[0])
  expect(trees[2]).toEqual(trees[0])
})

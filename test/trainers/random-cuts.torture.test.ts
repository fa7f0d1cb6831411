import { expect, it } from '@jest/globals'
import { createRandom } from '../../src/base/random.js'
import { binCuts } from '../../src/trainers/trees/binning.js'
import { growRandomTree } from '../../src/trainers/trees/random-tree.js'
import type { TreeData } from '../../src/trainers/trees/search.js'
import { type CutRoom, openCutRoom } from '../../src/trainers/trees/wasm/cut-arena.js'

const page = 2 ** 16

it.each(['gini', 'entropy'] as const)(
  'extra-trees by %s grow the same at the end of 4 GiB and across its middle',
  (criterion) => {
    const [rows, cols, classes, tried] = [9000, 200, 5, 6]
    const random = createRandom('far')
    const x = Float32Array.from({ length: rows * cols }, () => Math.max(0, random.normal()))
    const y = Int32Array.from({ length: rows }, () => random.int(classes))
    const near = openCutRoom({ rows, cols, classes, tried }, 2)
    const memory = new WebAssembly.Memory({ initial: page, maximum: page, shared: true })
    const moved = (by: number): CutRoom => ({
      ...near,
      memory,
      columnsAt: near.columnsAt + by,
      rowsAt: near.rowsAt + by,
      edgesAt: near.edgesAt + by,
      partsAt: near.partsAt + by,
    })
    const rooms = [near, moved(page * page - near.memory.buffer.byteLength), moved((page * page) / 2 - near.rowsAt)]
    const trees = rooms.map((cuts) => {
      binCuts({ x, rows, cols, from: 0, to: cols }, cuts, 256)
      const data = { x, y, rows, cols, classes, codes: new Uint8Array(0), cuts } as unknown as TreeData
      const options = { criterion, tried, maxDepth: Number.POSITIVE_INFINITY, minRows: 1 }
      return growRandomTree(data, cuts, new Float64Array(rows).fill(1), options, createRandom('tree'), 1)
    })
    expect(trees[0]!.feature.length).toBeGreaterThan(1000)
    expect(trees[1]).toEqual(trees[0])
    expect(trees[2]).toEqual(trees[0])
  },
)

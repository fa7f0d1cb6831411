import type { Random } from '../../base/random.js'
import { lastOf, sweepEntropy, sweepList } from './byte-sweep.js'
import { partByCode } from './growing.js'
import { ColumnDraw, type CutSearch, type NodeRows, type SearchOptions, type TreeData } from './search.js'
import { type Cut, noCut } from './sweep.js'
import { type Arena, arenaFor } from './wasm/arena.js'
import { at } from './wasm/sorting.js'

/** A node with more than this share of all rows is searched by the columns' lists. */
const listShare = 1 / 6

/** Cuts between the bins of a forest. */
export class ByteSearch implements CutSearch {
  readonly room: Arena
  private readonly draw: ColumnDraw
  /** `[rows of the set]`, 0 but while a node is searched by lists. */
  private readonly weights: Float64Array
  private readonly high: Float64Array
  private readonly listRows: number
  /** Places in the tree's list of rows whose codes lie together in the arena's block, and where those of a row begin. */
  private readonly block = { from: 0, end: 0 }
  private readonly starts: Int32Array
  /** Codes of the node's rows in the cut's column. */
  private readonly own: Uint8Array

  constructor(
    private readonly data: TreeData,
    private readonly options: SearchOptions,
    random: Random,
  ) {
    const { rows, cols, classes } = data
    this.draw = new ColumnDraw(cols, Math.min(options.tried, cols), random)
    this.room = arenaFor(rows, cols, classes)
    this.room.counts.fill(0)
    this.room.words[at.minRows / 4] = options.minRows
    this.room.doubles[at.minWeight / 8] = options.minWeight
    this.weights = new Float64Array(rows)
    this.high = new Float64Array(classes)
    this.starts = new Int32Array(rows)
    this.own = new Uint8Array(rows)
    const listed = options.criterion === 'gini' && options.minRows === 1
    this.listRows = listed ? rows * listShare : Number.POSITIVE_INFINITY
  }

  search(node: NodeRows): Cut {
    const best = noCut()
    const { draw, room } = this
    const { cols } = this.data
    const tried = draw.count
    draw.first()
    room.words[at.n / 4] = node.n
    room.doubles[at.total / 8] = node.total
    room.doubles[at.sum / 8] = node.sum
    const near = this.gatherBlock(node)
    let useful = near
      ? this.inBlock(0, tried, node, best)
      : node.n > this.listRows
        ? this.byLists(tried, node, best)
        : this.byRows(0, tried, node, best)
    // Only when all were constant it draws on.
    for (let drawn = tried; drawn < cols && useful === 0; drawn++) {
      draw.next(drawn)
      useful = near ? this.inBlock(drawn, drawn + 1, node, best) : this.byRows(drawn, drawn + 1, node, best)
    }
    return best
  }

  /**
   * Copies the codes of a small node's rows together: all nodes below find them there. False if they are too many. Nodes come depth
   * first, so the block is of no more use once a node outside of it has come.
   */
  private gatherBlock({ rows, from, n }: NodeRows): boolean {
    const { block, starts } = this
    if (from >= block.from && from + n <= block.end) return true
    const { bytes, block: room } = this.room
    if (n > room.rows) return false
    const { cols } = this.data
    const { codes } = this.data.forest
    for (let k = 0, to = room.start; k < n; k++, to += cols) {
      const row = rows[from + k]!
      bytes.set(codes.subarray(row * cols, (row + 1) * cols), to)
      starts[row] = to
    }
    block.from = from
    block.end = from + n
    return true
  }

  /** Searches the drawn columns `first` to `end`; returns how many vary in the node. */
  private inBlock(first: number, end: number, node: NodeRows, best: Cut): number {
    const { rowStarts, columns, kernel, columnsAt, rowStartsAt } = this.room
    const { rows, from, n } = node
    for (let k = 0; k < n; k++) rowStarts[k] = this.starts[rows[from + k]!]!
    for (let d = first; d < end; d++) columns[d - first] = this.draw.columns[d]!
    if (this.options.criterion === 'gini')
      return this.gini(first, best, () => kernel.searchRows(rowStartsAt, columnsAt, end - first))
    return this.entropy(first, end, node, best, (d) => kernel.collectRows(columns[d - first]!, rowStartsAt))
  }

  /** The same; gathers the columns row by row. */
  private byRows(first: number, end: number, node: NodeRows, best: Cut): number {
    if (end === this.draw.count) this.draw.sort()
    const { bytes, batch, kernel } = this.room
    const { columns } = this.draw
    const { cols } = this.data
    const { codes } = this.data.forest
    const { rows, from, n } = node
    // Whole vectors of 16 codes; zeros fill them up and are never visited.
    const stride = Math.ceil(n / 16) * 16
    const together = Math.max(1, Math.floor(batch.length / stride))
    let useful = 0
    for (let d0 = first; d0 < end; d0 += together) {
      const width = Math.min(together, end - d0)
      if (stride > n)
        for (let d = 1; d <= width; d++) {
          const full = batch.start + d * stride
          bytes.fill(0, full - (stride - n), full)
        }
      for (let k = 0; k < n; k++) {
        const start = rows[from + k]! * cols
        for (let d = 0, to = batch.start + k; d < width; d++, to += stride) bytes[to] = codes[start + columns[d0 + d]!]!
      }
      useful +=
        this.options.criterion === 'gini'
          ? this.gini(d0, best, () => kernel.search(batch.start, stride, width))
          : this.entropy(d0, d0 + width, node, best, (d) => kernel.collect(batch.start + (d - d0) * stride))
    }
    return useful
  }

  private gini(first: number, best: Cut, search: () => number): number {
    const { doubles, words } = this.room
    doubles[at.gain / 8] = best.gain
    const useful = search()
    if (doubles[at.gain / 8]! > best.gain) {
      best.gain = doubles[at.gain / 8]!
      best.feature = this.draw.columns[first + words[at.column / 4]!]!
      best.code = words[at.code / 4]!
    }
    return useful
  }

  private entropy(first: number, end: number, node: NodeRows, best: Cut, collect: (d: number) => number): number {
    const { kernel, sorted } = this.room
    let useful = 0
    for (let d = first; d < end; d++) {
      const m = collect(d)
      kernel.sort(m)
      if (m > 0 && sweepEntropy(sorted, m, node, this.high, this.options, this.draw.columns[d]!, best)) useful++
    }
    return useful
  }

  private byLists(tried: number, node: NodeRows, best: Cut): number {
    const { weights, data, high } = this
    const { minWeight } = this.options
    const { lists, lengths, codes } = data.forest
    const { rows, from, n, w } = node
    const mask = lastOf(lists) - 1
    for (let k = 0; k < n; k++) weights[rows[from + k]!] = w[k]!
    for (let d = 0; d < tried; d++) {
      const feature = this.draw.columns[d]!
      const start = feature * data.rows
      const place = sweepList(lists, start, lengths[feature]!, weights, data.y, node, high, minWeight, best)
      if (place < 0) continue
      best.feature = feature
      best.code = place + 1 < lengths[feature]! ? codes[(lists[start + place + 1]! & mask) * data.cols + feature]! : 0
    }
    for (let k = 0; k < n; k++) weights[rows[from + k]!] = 0
    return best.feature < 0 ? 0 : 1
  }

  part(cut: Cut, node: NodeRows, scratch: Int32Array): { middle: number; threshold: number } {
    const { cols, forest } = this.data
    const { rows, from, n } = node
    const { block, starts, own } = this
    const near = from >= block.from && from + n <= block.end
    const codes = near ? this.room.bytes : forest.codes
    for (let k = 0; k < n; k++) {
      const row = rows[from + k]!
      own[k] = codes[(near ? starts[row]! : row * cols) + cut.feature]!
    }
    return partByCode(this.data, cut, node, own, forest.zeros[cut.feature] === 1, scratch)
  }
}

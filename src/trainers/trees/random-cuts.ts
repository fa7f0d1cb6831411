import type { Random } from '../../base/random.js'
import { partByCode } from './growing.js'
import { ColumnDraw, type CutSearch, type NodeRows, type SearchOptions, type TreeData } from './search.js'
import { type Cut, noCut, sumOf, worth } from './sweep.js'
import { apart, type CutArena, type CutRoom, cutArenaFor } from './wasm/cut-arena.js'
import { type CutKernel, cutAt } from './wasm/cut-kernel.js'

/** Rows of more bytes than this do not stay in a core's cache from one node to the next: such nodes are read column by column. */
const nearBytes = 2 ** 20
/** A node with fewer than this share of all rows finds about one of them in a line of a column. */
const sparseShare = 1 / 64

/** In larger nodes the columns are put in order: the processor fetches a row ahead where it is read from front to back. */
const orderedRows = 64

/** Extra-trees' cuts: one bin a column, uniform between the smallest and the largest of the node (Geurts 2006 draws a value). */
export class RandomCuts implements CutSearch {
  readonly room: CutArena
  private readonly draw: ColumnDraw
  private readonly low: Float64Array
  private readonly high: Float64Array

  /**
   * @param room with the bins
   * @param thread whose part of it this is
   */
  constructor(
    private readonly data: TreeData,
    private readonly options: SearchOptions,
    private readonly random: Random,
    room: CutRoom,
    thread: number,
  ) {
    const { cols, classes } = data
    this.room = cutArenaFor(room, thread)
    // One word draws a column by its upper bits and a cut by its lower ones.
    this.draw = new ColumnDraw(cols, Math.min(options.tried, cols), random, this.room.words)
    this.room.counts.fill(0)
    this.room.header[cutAt.minRows / 4] = options.minRows
    this.room.doubles[cutAt.minWeight / 8] = options.minWeight
    this.low = new Float64Array(classes)
    this.high = new Float64Array(classes)
  }

  search(node: NodeRows): Cut {
    const best = noCut()
    const { draw, room, random } = this
    draw.first()
    if (node.n > orderedRows) draw.sort()
    let useful = this.judge(0, draw.count, node, best)
    // Only when all were constant it draws on.
    for (let drawn = draw.count; drawn < this.data.cols && useful === 0; drawn++) {
      draw.next(drawn)
      random.words(room.words.subarray(0, 1))
      useful = this.judge(drawn, drawn + 1, node, best)
    }
    return best
  }

  /** Judges the drawn columns `first` to `end`; returns how many vary in the node. */
  private judge(first: number, end: number, node: NodeRows, best: Cut): number {
    if (this.options.criterion === 'gini') return this.gini(first, end, node, best)
    let useful = 0
    for (let d = first; d < end; d++)
      if (this.column(this.draw.columns[d]!, this.room.words[d - first]!, node, best)) useful++
    return useful
  }

  /** Says where the codes of the node's rows in the drawn columns `first` to `end` lie; returns what gathers them best. */
  private place({ rows, from, n }: NodeRows, first: number, end: number): CutKernel['gatherRows'] {
    const { kernel, columns, starts, room } = this.room
    const drawn = this.draw.columns
    if (n * room.rowBytes > nearBytes && n > room.rows * sparseShare) {
      for (let k = 0; k < n; k++) starts[k] = room.columnsAt + rows[from + k]!
      for (let d = first; d < end; d++) columns[d - first] = drawn[d]! * room.rows
      return kernel.gatherColumns
    }
    for (let k = 0; k < n; k++) starts[k] = room.rowsAt + rows[from + k]! * room.rowBytes
    for (let d = first; d < end; d++) columns[d - first] = drawn[d]!
    return kernel.gatherRows
  }

  private gini(first: number, end: number, node: NodeRows, best: Cut): number {
    const { base, header, doubles, kernel, words, columns, starts, batch } = this.room
    const { n, total, sum } = node
    header[cutAt.n / 4] = n
    doubles[cutAt.total / 8] = total
    doubles[cutAt.sum / 8] = sum
    const gather = this.place(node, first, end)
    const stride = n <= 16 ? 16 : apart(n)
    const together = Math.max(1, Math.floor(batch.length / stride))
    let useful = 0
    for (let d = first; d < end; d += together) {
      const width = Math.min(together, end - d)
      const at = 4 * (d - first)
      gather(starts.byteOffset, n, columns.byteOffset + at, width, batch.start, stride)
      doubles[cutAt.gain / 8] = best.gain
      useful += kernel.search(base, batch.start, stride, width, words.byteOffset + at)
      if (doubles[cutAt.gain / 8]! <= best.gain) continue
      best.gain = doubles[cutAt.gain / 8]!
      best.feature = this.draw.columns[d + header[cutAt.column / 4]!]!
      best.code = header[cutAt.code / 4]!
    }
    return useful
  }

  /** False where the column is constant in the node. */
  private column(feature: number, draw: number, { rows, from, n, y, w, counts, total }: NodeRows, best: Cut): boolean {
    const { rowCodes: codes, room } = this.room
    const { minRows, minWeight, criterion } = this.options
    let low = codes[rows[from]! * room.rowBytes + feature]!
    let top = low
    for (let k = 1; k < n; k++) {
      const code = codes[rows[from + k]! * room.rowBytes + feature]!
      if (code < low) low = code
      else if (code > top) top = code
    }
    if (low === top) return false
    const cut = low + (((draw & 0xffff) * (top - low)) >>> 16)
    this.high.fill(0)
    let above = 0
    let aboveWeight = 0
    for (let k = 0; k < n; k++) {
      if (codes[rows[from + k]! * room.rowBytes + feature]! <= cut) continue
      above++
      this.high[y[k]!]! += w[k]!
      aboveWeight += w[k]!
    }
    if (above < minRows || n - above < minRows) return true
    if (aboveWeight < minWeight || total - aboveWeight < minWeight) return true
    for (let c = 0; c < counts.length; c++) this.low[c] = Math.max(0, counts[c]! - this.high[c]!)
    const gain =
      worth(sumOf(this.low, criterion), total - aboveWeight, criterion) +
      worth(sumOf(this.high, criterion), aboveWeight, criterion)
    if (gain > best.gain) {
      best.gain = gain
      best.feature = feature
      best.code = cut
      for (let k = 0; k < n; k++) this.room.best[k] = codes[rows[from + k]! * room.rowBytes + feature]!
    }
    return true
  }

  part(cut: Cut, node: NodeRows, scratch: Int32Array): { middle: number; threshold: number } {
    const { best, zeros } = this.room
    return partByCode(this.data, cut, node, best, zeros[cut.feature] === 1, scratch)
  }
}

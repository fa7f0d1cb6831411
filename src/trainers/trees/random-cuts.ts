import type { Random } from '../../base/random.js'
import { partByValue } from './growing.js'
import { ColumnDraw, type CutSearch, type NodeRows, type SearchOptions, type TreeData } from './search.js'
import { type Cut, noCut, sumOf, worth } from './sweep.js'
import { type CutArena, cutArenaFor } from './wasm/cut-arena.js'
import { cutAt } from './wasm/cut-kernel.js'

/** Extra-trees' cuts: one value a column, uniform between the smallest and the largest of the node. */
export class RandomCuts implements CutSearch {
  readonly room: CutArena
  private readonly draw: ColumnDraw
  private readonly low: Float64Array
  private readonly high: Float64Array

  constructor(
    private readonly data: TreeData,
    private readonly options: SearchOptions,
    private readonly random: Random,
  ) {
    const { rows, cols, classes } = data
    this.draw = new ColumnDraw(cols, Math.min(options.tried, cols), random)
    this.room = cutArenaFor(rows, classes, this.draw.count)
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
    draw.sort()
    random.words(room.words)
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

  /** Gathers the columns row by row: columns ascend, and a row is read from front to back. */
  private gini(first: number, end: number, { rows, from, n, total, sum }: NodeRows, best: Cut): number {
    const { header, doubles, floats, batch, kernel, words } = this.room
    const { x, cols } = this.data
    const { columns } = this.draw
    // Whole vectors of 4 values.
    const stride = Math.ceil(n / 4) * 4
    const together = Math.max(1, Math.floor(batch.values / stride))
    const start = batch.start / 4
    header[cutAt.n / 4] = n
    doubles[cutAt.total / 8] = total
    doubles[cutAt.sum / 8] = sum
    let useful = 0
    for (let d0 = first; d0 < end; d0 += together) {
      const width = Math.min(together, end - d0)
      for (let k = 0; k < stride; k++) {
        const row = rows[from + Math.min(k, n - 1)]! * cols
        for (let d = 0, to = start + k; d < width; d++, to += stride) floats[to] = x[row + columns[d0 + d]!]!
      }
      doubles[cutAt.gain / 8] = best.gain
      useful += kernel.search(batch.start, stride * 4, width, words.byteOffset + (d0 - first) * 4)
      if (doubles[cutAt.gain / 8]! <= best.gain) continue
      best.gain = doubles[cutAt.gain / 8]!
      best.feature = columns[d0 + header[cutAt.column / 4]!]!
      best.threshold = floats[cutAt.threshold / 4]!
    }
    return useful
  }

  /** False where the column is constant in the node. */
  private column(feature: number, draw: number, { rows, from, n, y, w, counts, total }: NodeRows, best: Cut): boolean {
    const { x, cols } = this.data
    const { minRows, minWeight, criterion } = this.options
    let low = x[rows[from]! * cols + feature]!
    let top = low
    for (let k = 1; k < n; k++) {
      const value = x[rows[from + k]! * cols + feature]!
      if (value < low) low = value
      else if (value > top) top = value
    }
    if (low === top) return false
    let threshold = Math.fround(low + (top - low) * (draw / 2 ** 32))
    if (threshold >= top) threshold = low
    this.high.fill(0)
    let above = 0
    let aboveWeight = 0
    for (let k = 0; k < n; k++) {
      if (x[rows[from + k]! * cols + feature]! <= threshold) continue
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
      best.threshold = threshold
    }
    return true
  }

  part(
    { feature, threshold }: Cut,
    { rows, from, n }: NodeRows,
    scratch: Int32Array,
  ): { middle: number; threshold: number } {
    return { middle: partByValue(this.data, feature, threshold, rows, from, n, scratch), threshold }
  }
}

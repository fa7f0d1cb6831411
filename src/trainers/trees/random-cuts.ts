import type { Random } from '../../base/random.js'
import { partByValue } from './growing.js'
import {
  ColumnDraw,
  type CutSearch,
  type NodeRoom,
  type NodeRows,
  nodeRoom,
  type SearchOptions,
  type TreeData,
} from './search.js'
import { type Cut, noCut, sumOf, worth } from './sweep.js'

/** Extra-trees' cuts: one value a column, uniform between the smallest and the largest of the node. */
export class RandomCuts implements CutSearch {
  readonly room: NodeRoom
  private readonly draw: ColumnDraw
  private readonly low: Float64Array
  private readonly high: Float64Array

  constructor(
    private readonly data: TreeData,
    private readonly options: SearchOptions,
    rows: number,
    private readonly random: Random,
  ) {
    this.room = nodeRoom(rows, data.classes)
    this.draw = new ColumnDraw(data.cols, Math.min(options.tried, data.cols), random)
    this.low = new Float64Array(data.classes)
    this.high = new Float64Array(data.classes)
  }

  search(node: NodeRows): Cut {
    const best = noCut()
    this.draw.visit((column) => this.column(column, node, best))
    return best
  }

  /** False where the column is constant in the node. */
  private column(feature: number, { rows, from, n, y, w, counts, total }: NodeRows, best: Cut): boolean {
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
    let threshold = Math.fround(low + (top - low) * this.random.next())
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

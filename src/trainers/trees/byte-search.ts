import type { Random } from '../../base/random.js'
import { ByteSweeper, entryOf, lastOf } from './byte-sweep.js'
import { ColumnDraw, type CutSearch, type NodeRows, type SearchOptions, type TreeData } from './search.js'
import { type Cut, noCut } from './sweep.js'

/** A node with more than this share of all rows is searched by the columns' lists. */
const listShare = 1 / 6
/** Entries gathered at a time. */
const batchEntries = 65_536

/** Cuts between the bins of a forest. */
export class ByteSearch implements CutSearch {
  private readonly draw: ColumnDraw
  private readonly sweeper: ByteSweeper
  private readonly batch: Int32Array
  /** End of every column's entries in the batch. */
  private readonly ends: Int32Array
  /** `[rows of the set]`, 0 but while a node is searched by lists. */
  private readonly weights: Float64Array
  private readonly listRows: number

  constructor(
    private readonly data: TreeData,
    private readonly options: SearchOptions,
    rows: number,
    random: Random,
  ) {
    this.draw = new ColumnDraw(data.cols, random)
    this.sweeper = new ByteSweeper(data.classes, rows, options)
    this.batch = new Int32Array(Math.max(batchEntries, rows))
    this.ends = new Int32Array(options.tried)
    this.weights = new Float64Array(data.rows)
    const listed = options.criterion === 'gini' && options.minRows === 1
    this.listRows = listed ? data.rows * listShare : Number.POSITIVE_INFINITY
  }

  search(node: NodeRows): Cut {
    const best = noCut()
    const { draw } = this
    const { cols } = this.data
    const tried = Math.min(this.options.tried, cols)
    draw.first(tried)
    let useful = node.n > this.listRows ? this.byLists(tried, node, best) : this.byRows(0, tried, node, best)
    // Only when all were constant it draws on.
    for (let drawn = tried; drawn < cols && useful === 0; drawn++) {
      draw.next(drawn)
      useful = this.byRows(drawn, drawn + 1, node, best)
    }
    return best
  }

  /** Gathers the drawn columns `first` to `end` row by row, then sweeps one after the other. Returns how many vary in the node. */
  private byRows(first: number, end: number, node: NodeRows, best: Cut): number {
    const { batch, ends, sweeper } = this
    const { columns } = this.draw
    const { cols } = this.data
    const { codes } = this.data.forest
    const { rows, from, n } = node
    const together = Math.floor(batch.length / n)
    let useful = 0
    for (let d0 = first; d0 < end; d0 += together) {
      const width = Math.min(together, end - d0)
      for (let d = 0; d < width; d++) ends[d] = d * n
      for (let k = 0; k < n; k++) {
        const start = rows[from + k]! * cols
        for (let d = 0; d < width; d++) {
          const code = codes[start + columns[d0 + d]!]!
          const at = ends[d]!
          batch[at] = entryOf(code, k)
          ends[d] = at + ((code + 255) >> 8) // on by 1 unless the code is 0, without a branch that would be guessed wrong
        }
      }
      for (let d = 0; d < width; d++) {
        const m = ends[d]! - d * n
        if (m > 0 && sweeper.entries(batch, d * n, m, node, columns[d0 + d]!, best)) useful++
      }
    }
    return useful
  }

  private byLists(tried: number, node: NodeRows, best: Cut): number {
    const { weights, sweeper, data } = this
    const { lists, lengths, codes } = data.forest
    const { rows, from, n, w } = node
    const mask = lastOf(lists) - 1
    for (let k = 0; k < n; k++) weights[rows[from + k]!] = w[k]!
    for (let d = 0; d < tried; d++) {
      const feature = this.draw.columns[d]!
      const start = feature * data.rows
      const at = sweeper.list(lists, start, lengths[feature]!, weights, data.y, node, best)
      if (at < 0) continue
      best.feature = feature
      best.code = at + 1 < lengths[feature]! ? codes[(lists[start + at + 1]! & mask) * data.cols + feature]! : 0
    }
    for (let k = 0; k < n; k++) weights[rows[from + k]!] = 0
    return best.feature < 0 ? 0 : 1
  }

  isLeft(cut: Cut, row: number): boolean {
    return this.data.forest.codes[row * this.data.cols + cut.feature]! <= cut.code
  }
}

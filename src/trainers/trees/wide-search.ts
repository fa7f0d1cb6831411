import type { Random } from '../../base/random.js'
import { partByCode } from './growing.js'
import { ColumnDraw, type NodeRoom, type NodeRows, nodeRoom, type SearchOptions, type TreeData } from './search.js'
import { type Cut, noCut, Sweeper } from './sweep.js'

/** Cuts between codes of two bytes that lie column by column: exact for single trees. */
export class WideSearch {
  readonly room: NodeRoom
  private readonly draw: ColumnDraw
  private readonly sweeper: Sweeper
  private readonly found: Int32Array
  private readonly places: Int32Array
  private readonly own: Uint16Array

  constructor(
    private readonly data: TreeData,
    options: SearchOptions,
    rows: number,
    random: Random,
  ) {
    this.room = nodeRoom(rows, data.classes)
    this.draw = new ColumnDraw(data.cols, Math.min(options.tried, data.cols), random)
    this.sweeper = new Sweeper(data.classes, rows, options.criterion, options.minRows, options.minWeight)
    this.found = new Int32Array(rows)
    this.places = new Int32Array(rows)
    this.own = new Uint16Array(rows)
  }

  /** The node's best cut; its feature is -1 if there is none. */
  search(node: NodeRows): Cut {
    const best = noCut()
    this.draw.visit((column) => this.column(column, node, best))
    return best
  }

  /** False where the column is constant in the node. */
  private column(feature: number, node: NodeRows, best: Cut): boolean {
    const { rows, from, n, y, w, counts, total, sum } = node
    const { found, places } = this
    const { codes } = this.data
    const start = feature * this.data.rows
    let m = 0
    for (let k = 0; k < n; k++) {
      const code = codes[start + rows[from + k]!]!
      found[m] = code
      places[m] = k
      m += (code + 65_535) >> 16 // 1 unless the code is 0, without a branch that would be guessed wrong
    }
    return m > 0 && this.sweeper.run(found, places, m, y, w, n, counts, total, sum, feature, best)
  }

  /** Moves the rows of the left side before the others; returns where the right side begins, and the threshold between them. */
  part(cut: Cut, node: NodeRows, scratch: Int32Array): { middle: number; threshold: number } {
    const { codes } = this.data
    const start = cut.feature * this.data.rows
    for (let k = 0; k < node.n; k++) this.own[k] = codes[start + node.rows[node.from + k]!]!
    return partByCode(this.data, cut, node, this.own, scratch)
  }
}

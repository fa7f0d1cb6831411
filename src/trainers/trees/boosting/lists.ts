import type { TreeData } from '../growing/search.js'
import { BoostArena } from '../wasm/boosting/boost-arena.js'
import { boostAt, entryAt, leastGain, nodeAt } from '../wasm/boosting/boost-kernel.js'
import { at } from '../wasm/sorting.js'

/** What the search sees of a node, and where it writes what it found. */
export interface SearchedNode {
  /** The node's rows are `n` in the tree's list of rows, beginning at `from`. */
  readonly from: number
  readonly n: number
  readonly gradient: number
  readonly hessian: number
  /** What the node scores without a cut, or less: cuts are judged against it. */
  readonly own: number
  /** Set by the search: 0 where no cut gains anything. */
  gain: number
  /** Place among the tree's columns, and the code up to which rows go left. */
  column: number
  code: number
  /** Kept lists of the node, if there was space. */
  lists?: NodeLists | undefined
}

/** Lists of a node in the arena. */
export interface NodeLists {
  readonly table: number
  readonly count: number
  /** Gradients and hessians of the places that the lists name. */
  readonly sums: number
  /** How far the lists move when they are divided: those of the whole tree are used again by the next. */
  readonly move: number
}

export interface SplitLimits {
  readonly l2: number
  readonly minHessian: number
  readonly minRows: number
}

/** Lists that are kept take at most about so many bytes in a thread; nodes without are sorted again. */
const keptBytes = 2 ** 27

/** So many bytes in whole vectors. */
const padded = (n: number) => Math.ceil(n / 16) * 16

/** Searches nodes with few rows for the bins, one tree after the other; see boost-kernel.ts. */
export class BoostLists {
  readonly #arena: BoostArena
  /** `[rows]` the place of a row in the lists of the node that it is in. */
  readonly #placeOf: Int32Array
  /** Lists of all columns over all rows that trees grow on, if they are few. */
  readonly #whole:
    | { readonly lists: Int32Array; readonly lengths: Int32Array; readonly codes: number; move: number }
    | undefined
  readonly #forTrees: number
  #gradient: Float32Array = new Float32Array(0)
  #hessian: Float32Array = new Float32Array(0)
  #columns: Int32Array = new Int32Array(0)

  /**
   * @param places most rows of a node, at most 65,536
   * @param train rows of every tree's root
   */
  readonly #data: TreeData
  readonly #train: Int32Array
  readonly #limits: SplitLimits

  constructor(data: TreeData, places: number, train: Int32Array, limits: SplitLimits) {
    this.#data = data
    this.#train = train
    this.#limits = limits

    const { rows, cols } = data
    const { l2, minHessian, minRows } = limits
    this.#arena = new BoostArena(places)
    this.#placeOf = new Int32Array(rows)
    this.#arena.setDouble(boostAt.start + 8, l2)
    this.#arena.setDouble(boostAt.minHessian, minHessian)
    this.#arena.setWord(boostAt.minRows, minRows)
    if (train.length <= places && train.length * cols * 5 <= keptBytes) this.#whole = this.#listAll(train)
    this.#forTrees = this.#arena.taken
  }

  #listAll(train: Int32Array) {
    const arena = this.#arena
    const { cols } = this.#data
    const stride = padded(train.length)
    const codes = arena.take(cols * stride)
    const lists = new Int32Array(cols)
    const lengths = new Int32Array(cols)
    const first = arena.taken
    for (let f = 0; f < cols; f++) {
      lists[f] = arena.take(train.length * 2)
      lengths[f] = this.#listColumn(f, train, 0, train.length, codes + f * stride, lists[f]!)
      arena.giveBack(lists[f]! + padded(lengths[f]!))
    }
    const move = arena.take(arena.taken - first) - first
    return { lists, lengths, codes, move }
  }

  /** Gathers a column's codes of some rows, and makes their list; returns its bytes. */
  #listColumn(f: number, rows: Int32Array, from: number, n: number, to: number, list: number): number {
    const { bytes } = this.#arena
    const { codes, rows: height } = this.#data
    const start = f * height
    for (let k = 0; k < n; k++) bytes[to + k] = codes[start + rows[from + k]!]!
    // Whole vectors of 16 codes; zeros fill them up and are never visited.
    bytes.fill(0, to + n, to + padded(n))
    this.#arena.setWord(at.n, n)
    return this.#arena.kernel.list(to, list)
  }

  /** Begins a tree on these gradients, in these columns. */
  begin(gradient: Float32Array, hessian: Float32Array, columns: Int32Array): void {
    this.#gradient = gradient
    this.#hessian = hessian
    this.#columns = columns
    this.#arena.giveBack(this.#forTrees)
  }

  /** Searches a node whose parent has no lists. */
  start(node: SearchedNode, rows: Int32Array): void {
    const arena = this.#arena
    const gradient = this.#gradient
    const hessian = this.#hessian
    const columns = this.#columns
    const placeOf = this.#placeOf
    const { from, n } = node
    const before = arena.taken
    const sums = arena.take(n * 16)
    for (let k = 0, to = sums >> 3; k < n; k++) {
      const row = rows[from + k]!
      placeOf[row] = k
      arena.doubles[to++] = gradient[row]!
      arena.doubles[to++] = hessian[row]!
    }
    arena.setWord(boostAt.sums, sums)
    this.#write(node, boostAt.left)
    const whole = this.#whole
    if (whole && n === this.#train.length) {
      const table = arena.take(columns.length * entryAt.size)
      const stride = padded(n)
      columns.forEach((f, j) => {
        this.#entry(table, j, j, whole.lists[f]!, whole.lengths[f]!, whole.codes + f * stride)
      })
      arena.kernel.judge(table, columns.length)
      node.lists = { table, count: columns.length, sums, move: whole.move }
    } else if (arena.taken + columns.length * (padded(n) + 2 * n + entryAt.size) <= keptBytes) {
      const table = arena.take(columns.length * entryAt.size)
      let count = 0
      columns.forEach((f, j) => {
        const codes = arena.take(padded(n))
        const list = arena.take(n * 2)
        const bytes = this.#listColumn(f, rows, from, n, codes, list)
        if (bytes < 2 * this.#limits.minRows) arena.giveBack(codes)
        else {
          this.#entry(table, count++, j, list, bytes, codes)
          arena.giveBack(list + padded(bytes))
        }
      })
      arena.kernel.judge(table, count)
      node.lists = { table, count, sums, move: 0 }
    } else {
      const table = arena.take(entryAt.size)
      const codes = arena.take(padded(n))
      const list = arena.take(n * 2)
      columns.forEach((f, j) => {
        this.#entry(table, 0, j, list, this.#listColumn(f, rows, from, n, codes, list), codes)
        arena.kernel.judge(table, 1)
      })
      arena.giveBack(before)
    }
    this.#read(node, boostAt.left)
  }

  /**
   * Searches the children of a node that was divided, given where they are wanted.
   *
   * @param rows of the tree, already divided
   */
  split(
    lists: NodeLists,
    rows: Int32Array,
    left: { readonly node: SearchedNode; readonly wanted: boolean },
    right: { readonly node: SearchedNode; readonly wanted: boolean },
  ): void {
    if (!left.wanted && !right.wanted) return
    const arena = this.#arena
    const placeOf = this.#placeOf
    const { table, count, sums, move } = lists
    const table2 = right.wanted ? arena.take(count * entryAt.size) : 0
    const { bytes, sides } = arena
    for (const [{ node }, side] of [
      [left, 0],
      [right, 2],
    ] as const)
      for (let k = node.from; k < node.from + node.n; k++) bytes[sides + placeOf[rows[k]!]!] = side
    arena.setWord(boostAt.sums, sums)
    this.#write(left.node, boostAt.left)
    this.#write(right.node, boostAt.right)
    const kept = arena.kernel.split(table, count, left.wanted ? table : 0, table2, move)
    if (left.wanted) {
      this.#read(left.node, boostAt.left)
      left.node.lists = { table, count: kept, sums, move: 0 }
    }
    if (right.wanted) {
      this.#read(right.node, boostAt.right)
      const rightCount = arena.words[boostAt.rightCount >> 2]!
      right.node.lists = { table: table2, count: rightCount, sums, move: 0 }
      arena.giveBack(table2 + rightCount * entryAt.size)
    }
  }

  #entry(table: number, index: number, column: number, list: number, bytes: number, codes: number): void {
    const { words } = this.#arena
    const to = (table + index * entryAt.size) >> 2
    words[to + entryAt.column / 4] = column
    words[to + entryAt.list / 4] = list
    words[to + entryAt.length / 4] = bytes
    words[to + entryAt.codes / 4] = codes
  }

  #write(node: SearchedNode, to: number): void {
    const arena = this.#arena
    arena.setDouble(to + nodeAt.least, -node.own * (1 + leastGain))
    arena.setDouble(to + nodeAt.own, node.own)
    arena.setDouble(to + nodeAt.gain, 0)
    arena.setDouble(to + nodeAt.gradient, node.gradient)
    arena.setDouble(to + nodeAt.hessian, node.hessian + 2 * this.#limits.l2)
    arena.setWord(to + nodeAt.n, node.n)
    arena.setWord(to + nodeAt.column, -1)
  }

  #read(node: SearchedNode, from: number): void {
    const { words, doubles } = this.#arena
    const column = words[(from + nodeAt.column) >> 2]!
    if (column < 0) return
    node.gain = doubles[(from + nodeAt.gain) >> 3]!
    node.column = column
    node.code = words[(from + nodeAt.code) >> 2]!
  }
}

import { type Expr, f64, i32, type Local } from '../assembler.js'
import { at } from '../sorting.js'

/**
 * Where things lie in a thread's part of a forest's memory, in bytes, behind what sorting uses. Pointers are bytes of
 * the whole memory.
 */
export const forestAt = {
  ...at,
  /** f64 of the node: a gain that no cut exceeds. */
  limit: 1152,
  /** Pointer to what classes the node's rows have (i32), times 8, and how many. */
  kindList: 1160,
  kinds: 1164,
  /** i32: whether a column's cut is drawn or the best, whether entropy is asked and not gini, deepest level. */
  random: 1168,
  entropy: 1172,
  maxDepth: 1176,
  /** i32: columns tried at a node, all columns. */
  tried: 1180,
  cols: 1184,
  /** Pointer to space for the codes of the best column, by place. */
  best: 1188,
  /** Pointers to all columns, those drawn at the node first (i32), and to the words they were drawn by. */
  columns: 1192,
  words: 1196,
  /**
   * Pointers to what the tree's rows are, in its order: where their codes lie (see `block`), class (i32), weight (f64).
   */
  places: 1200,
  allClasses: 1204,
  allWeights: 1208,
  /** Pointer to space for as many. */
  sparePlaces: 1212,
  spareClasses: 1216,
  spareWeights: 1220,
  /** Pointer to space for gathered codes, and its bytes. */
  batch: 1224,
  batchBytes: 1228,
  /**
   * Pointer to space for all codes of some rows, and for how many. The tree's rows from `blockFrom` to `blockEnd` have
   * theirs there: their place is the address. The place of another row is its number.
   */
  block: 1232,
  blockRows: 1236,
  blockFrom: 1240,
  blockEnd: 1244,
  /** Codes column by column and row by row, see ForestStorage. */
  columnsAt: 1248,
  rowsAt: 1252,
  rowBytes: 1256,
  rows: 1260,
  /** Pointer to what each column has gained (f64). */
  importance: 1264,
  /**
   * Pointers to what the tree's nodes are (i32): column of the cut or −1, the node's largest code on the left and 256
   * times its smallest one on the right, or the leaf's only class (−1 if there are more), left child (the right one
   * follows it), first row, rows, level; and to space for the nodes still to be split.
   */
  nodeFeature: 1268,
  nodeCode: 1272,
  nodeLeft: 1276,
  nodeFrom: 1280,
  nodeRows: 1284,
  nodeDepth: 1288,
  stack: 1292,
  /** Four words: the state of the random numbers. */
  state: 1296,
  /** 16 bytes of 0 and 16 of 255. */
  tail: 1312,
} as const

/** Whole numbers and others of the header of the thread whose part begins at `base`. */
export const headerOf =
  (base: Local) =>
  (field: number): Expr =>
    i32.load(base.get, field)
export const numberOf =
  (base: Local) =>
  (field: number): Expr =>
    f64.load(base.get, field)

/** Sets locals to the whole numbers of the header that they are named after. */
export const fromHeader = <N extends Exclude<keyof typeof forestAt, 'arrays'>>(
  local: Readonly<Record<N, Local>>,
  base: Local,
  names: readonly N[],
): Expr[] => names.map((name) => local[name].set(i32.load(base.get, forestAt[name])))

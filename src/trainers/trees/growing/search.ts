import type { Criterion } from '../criterion.js'
import type { ForestStorage } from '../wasm/forest/forest-arena.js'

/**
 * What trees grow on. All of it may be shared between threads: while trees grow, only their parts of `forest` are
 * written to.
 */
export interface TreeData {
  /** `[rows, cols]`. */
  readonly x: Float32Array
  readonly rows: number
  readonly cols: number
  readonly classes: number
  readonly y: Int32Array
  /** Bins column by column (binning.ts), for boosting and single trees; else empty. */
  readonly codes: Uint8Array | Uint16Array
  /** Bins for forests. */
  readonly forest?: ForestStorage | undefined
}

/** Space for what a search wants to know of a node's rows. */
export interface NodeBuffers {
  /** Class and weight of the node's rows, by place. */
  readonly y: Int32Array
  readonly w: Float64Array
  /** `[classes]` weight of every class, all 0 between nodes. */
  readonly counts: Float64Array
}

/** The rows of the node that is looked at, and what they weigh: place k is row `rows[from + k]`. */
export interface NodeRows extends NodeBuffers {
  /** All rows of the tree; this node's are `n` beginning at `from`. */
  readonly rows: Int32Array
  from: number
  n: number
  total: number
  /** Σ counts² (gini) or Σ counts · log2 counts (entropy). */
  sum: number
}

export interface SearchOptions {
  readonly criterion: Criterion
  /** Fewest rows of a side. */
  readonly minRows: number
  /** Least weight of a side. */
  readonly minWeight: number
}

export const nodeBuffers = (rows: number, classes: number): NodeBuffers => ({
  y: new Int32Array(rows),
  w: new Float64Array(rows),
  counts: new Float64Array(classes),
})

import { type Kernel, type KernelRows, kernelBlock, kernelDiagonal, pickKernelRows } from './functions.js'
import type { KernelSource } from './smo.js'

/** Rows fetched by one product: one alone would be bound by reading all the others from memory. */
const together = 32

/**
 * The rows of a kernel matrix that were used last, in at most `bytes` of memory. Reading is synchronous; what is
 * missing is fetched between two steps of the solver, along with rows that it is likely to ask for next.
 */
export class KernelCache implements KernelSource {
  readonly data: Float32Array
  readonly diagonal: Float64Array
  readonly #slots: number
  readonly #slotOf: Int32Array
  readonly #rowIn: Int32Array
  readonly #usedAt: Float64Array
  #clock = 0
  /** Rows computed in all, for the record. */
  fetched = 0

  readonly #rows: KernelRows
  readonly #kernel: Kernel
  readonly #threads: number

  constructor(rows: KernelRows, kernel: Kernel, bytes: number, threads: number) {
    this.#rows = rows
    this.#kernel = kernel
    this.#threads = threads

    const n = rows.x.rows
    this.#slots = Math.max(2 * together, Math.min(n, Math.floor(bytes / (4 * n))))
    this.data = new Float32Array(this.#slots * n)
    this.diagonal = kernelDiagonal(rows, kernel)
    this.#slotOf = new Int32Array(n).fill(-1)
    this.#rowIn = new Int32Array(this.#slots).fill(-1)
    this.#usedAt = new Float64Array(this.#slots).fill(-1)
  }

  offset(i: number): number {
    const slot = this.#slotOf[i]!
    if (slot < 0) return -1
    this.#usedAt[slot] = ++this.#clock
    return slot * this.#rows.x.rows
  }

  /** Fetches row `i` and, as far as one product allows, the `likely` ones. */
  async fetch(i: number, likely: readonly number[]): Promise<void> {
    const wanted = [i, ...likely.filter((row) => row !== i && this.#slotOf[row]! < 0)].slice(0, together)
    const n = this.#rows.x.rows
    const asked = pickKernelRows(this.#rows, Int32Array.from(wanted))
    const block = await kernelBlock(asked, this.#rows, this.#kernel, this.#threads)
    const oldest = [...this.#usedAt.keys()].sort((a, b) => this.#usedAt[a]! - this.#usedAt[b]!)
    for (const [k, row] of wanted.entries()) {
      const slot = oldest[k]!
      const held = this.#rowIn[slot]!
      if (held >= 0) this.#slotOf[held] = -1
      this.data.set(block.subarray(k * n, (k + 1) * n), slot * n)
      this.#slotOf[row] = slot
      this.#rowIn[slot] = row
      this.#usedAt[slot] = ++this.#clock
    }
    this.fetched += wanted.length
  }
}

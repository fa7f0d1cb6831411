import { type ByteKernel, byteModule } from './byte-kernel.js'
import { kernelOf, Layout } from './memory.js'
import { at } from './sorting.js'

/** Codes gathered at a time, and of the rows copied together, in bytes. Both stay in a core's cache. */
const batchBytes = 2 ** 16
const blockBytes = 2 ** 22

const byteKernel = kernelOf<ByteKernel>(byteModule)

/** The kernel and the memory it works on, one of each thread. */
export class Arena {
  readonly kernel: ByteKernel
  readonly bytes: Uint8Array
  readonly words: Int32Array
  readonly doubles: Float64Array
  /** Room for the class and weight of a node's rows, and its weight by class, which is 0 between nodes. */
  readonly y: Int32Array
  readonly w: Float64Array
  readonly counts: Float64Array
  /** The entries of the last column after {@link ByteKernel.sort}. */
  readonly sorted: Int32Array
  /** `[tried]` columns to look at, and `[rows]` where the codes of a node's rows begin. */
  readonly columns: Int32Array
  readonly rowStarts: Int32Array
  readonly batch: { readonly start: number; readonly length: number }
  /** Room for the codes of so many rows. */
  readonly block: { readonly start: number; readonly rows: number }

  constructor(
    readonly rows: number,
    readonly cols: number,
    readonly classes: number,
  ) {
    const layout = new Layout(at.arrays)
    const take = (bytes: number): number => layout.take(bytes)
    const pointers = {
      weights: take(rows * 8),
      counts: take(classes * 8),
      high: take(classes * 8),
      classes: take(rows * 4),
      entries: take(rows * 4 + 16),
      sorted: take(rows * 4 + 16),
      before: take(rows * 4 + 16),
    }
    const columns = take(cols * 4)
    const rowStarts = take(rows * 4)
    this.batch = { start: take(Math.max(batchBytes, rows + 16)), length: batchBytes }
    const blockRows = Math.min(rows, Math.floor(blockBytes / cols))
    this.block = { start: take(blockRows * cols), rows: blockRows }
    const memory = layout.memory()
    const { buffer } = memory
    this.bytes = new Uint8Array(buffer)
    this.words = new Int32Array(buffer, 0, at.arrays / 4)
    this.doubles = new Float64Array(buffer, 0, at.arrays / 8)
    this.y = new Int32Array(buffer, pointers.classes, rows)
    this.w = new Float64Array(buffer, pointers.weights, rows)
    this.counts = new Float64Array(buffer, pointers.counts, classes)
    this.sorted = new Int32Array(buffer, pointers.sorted, rows + 1)
    this.columns = new Int32Array(buffer, columns, cols)
    this.rowStarts = new Int32Array(buffer, rowStarts, rows)
    this.columnsAt = columns
    this.rowStartsAt = rowStarts
    for (const [name, pointer] of Object.entries(pointers)) this.words[at[name as keyof typeof pointers] / 4] = pointer
    this.kernel = byteKernel(memory)
  }

  /** Addresses of {@link columns} and {@link rowStarts}. */
  readonly columnsAt: number
  readonly rowStartsAt: number
}

let last: Arena | undefined

/** This thread's arena for data of this size, made again only when the size is another one. */
export function arenaFor(rows: number, cols: number, classes: number): Arena {
  if (last?.rows !== rows || last.cols !== cols || last.classes !== classes) last = new Arena(rows, cols, classes)
  return last
}

import { Fc7Error } from '../../../../base/errors.js'
import { xlogx } from '../../criterion.js'
import { maxPages } from '../assembler.js'
import { maxCodes } from '../bins/bin-arena.js'
import { kernelOf, Layout } from '../memory.js'
import { forestAt } from './forest-header.js'
import { type ForestKernel, forestModule } from './forest-kernel.js'

const forestKernel = kernelOf<ForestKernel>(forestModule, { xlogx })
/** Rows of all columns that are brought together: what a core's second cache holds beside others. */
const blockBytes = 2 ** 20
/** Bytes of a line of the processor's cache. */
const line = 64

/** What forests read, in one memory of all threads, and behind it a part for each thread to work on. */
export interface ForestStorage {
  readonly memory: WebAssembly.Memory
  readonly rows: number
  readonly cols: number
  readonly classes: number
  /** Columns tried at a node. */
  readonly tried: number
  /** Where the codes lie column by column, `[cols, rows]`: many rows of few columns lie close together. */
  readonly columnsAt: number
  /** Where they lie row by row, `[rows, rowBytes]`: a few rows of any columns stay in the processor's cache. */
  readonly rowsAt: number
  readonly rowBytes: number
  /** `[cols, maxCodes, 2]` float32: least and largest value of every code. */
  readonly edgesAt: number
  /** Where the first thread's part lies, and how far the next one is from it. */
  readonly partsAt: number
  readonly partBytes: number
}

/** At least so many bytes, an odd number of lines: what lies a power of two apart shares one place in the cache. */
export const apart = (bytes: number): number => (Math.ceil(bytes / line) | 1) * line

type Size = Pick<ForestStorage, 'rows' | 'cols' | 'classes' | 'tried'>

/** Rows that a block holds. */
const blockRowsOf = ({ rows, cols }: Size): number => Math.min(rows, Math.max(64, Math.floor(blockBytes / apart(cols))))

/**
 * Codes gathered at a time: more than a column of a large node, and no more than a core's cache holds beside others.
 */
const batchBytesOf = (rows: number): number => Math.max(2 ** 17, rows + 2 * line)

/** Addresses in a thread's part. */
function partLayout(base: number, size: Size) {
  const { rows, cols, classes, tried } = size
  const layout = new Layout(base + forestAt.arrays)
  const take = (bytes: number): number => layout.take(bytes)
  const nodes = 2 * rows
  const pointers = {
    // Places behind the last are read, and what they name with them.
    places: take(rows * 4 + line),
    allClasses: take(rows * 4),
    allWeights: take(rows * 8),
    sparePlaces: take(rows * 4),
    spareClasses: take(rows * 4),
    spareWeights: take(rows * 8),
    best: take(rows),
    counts: take(classes * 8),
    high: take(classes * 8),
    kindList: take(classes * 4),
    entries: take(rows * 4 + line),
    sorted: take(rows * 4 + line),
    before: take(rows * 4 + line),
    columns: take(cols * 4),
    words: take(tried * 4),
    batch: take(batchBytesOf(rows)),
    block: take(blockRowsOf(size) * apart(cols)),
    importance: take(cols * 8),
    nodeFeature: take(nodes * 4),
    nodeCode: take(nodes * 4),
    nodeLeft: take(nodes * 4),
    nodeFrom: take(nodes * 4),
    nodeRows: take(nodes * 4),
    nodeDepth: take(nodes * 4),
    stack: take(nodes * 4),
  }
  return { pointers, end: layout.end }
}

/**
 * Where everything lies.
 *
 * @throws Fc7Error TRAINER_TOO_LARGE beyond 4 GiB
 */
function roomLayout(size: Size, threads: number) {
  const { rows, cols } = size
  const rowBytes = apart(cols)
  const layout = new Layout(0)
  const take = (bytes: number): number => Math.ceil(layout.take(bytes + line) / line) * line
  const columnsAt = take(rows * cols)
  const rowsAt = take(rows * rowBytes)
  const edgesAt = take(cols * maxCodes * 8)
  const partBytes = Math.ceil(partLayout(0, size).end / line) * line
  const partsAt = take(partBytes * threads)
  if (layout.end > maxPages * 2 ** 16) {
    throw new Fc7Error('TRAINER_TOO_LARGE', `Forests cannot be grown on ${rows} rows of ${cols} numbers.`, {
      hint: 'Two bytes for each number must fit into 4 GiB: train on fewer rows, or on fewer columns (pca:<n>).',
    })
  }
  return { layout, columnsAt, rowsAt, rowBytes, edgesAt, partsAt, partBytes }
}

/** Memory for so many rows and columns, all of it 0. @throws Fc7Error TRAINER_TOO_LARGE beyond 4 GiB */
export function openForestStorage(size: Size, threads: number): ForestStorage {
  const { layout, ...places } = roomLayout(size, threads)
  return { ...size, ...places, memory: layout.memory(true) }
}

/** Bytes of a storage. */
export const forestRoomBytes = (size: Size, threads: number): number => roomLayout(size, threads).layout.end

/**
 * How many threads' parts, at most `threads`, a storage has space for. @throws Fc7Error TRAINER_TOO_LARGE where not
 * even for one
 */
export function partsThatFit(size: Size, threads: number): number {
  const { layout, partBytes } = roomLayout(size, 1)
  return Math.min(threads, 1 + Math.floor((maxPages * 2 ** 16 - layout.end) / partBytes))
}

/** Refuses what cannot be grown in one thread. @throws Fc7Error TRAINER_TOO_LARGE */
export function checkForestSize(rows: number, cols: number, classes: number): void {
  roomLayout({ rows, cols, classes, tried: cols }, 1)
}

/** The codes of a storage, see there. */
export const forestCodes = ({
  memory: { buffer },
  rows,
  cols,
  columnsAt,
  rowsAt,
  rowBytes,
  edgesAt,
}: ForestStorage) => ({
  columns: new Uint8Array(buffer, columnsAt, rows * cols),
  rows: new Uint8Array(buffer, rowsAt, rows * rowBytes),
  edges: new Float32Array(buffer, edgesAt, 2 * cols * maxCodes),
})

/** One thread's part of a storage, with the kernel. */
export class ForestArena {
  readonly kernel: ForestKernel
  readonly base: number
  readonly #header: Int32Array
  readonly #doubles: Float64Array
  /** What a tree's rows are, in its order: their numbers at first, classes and weights. */
  readonly places: Int32Array
  readonly classes: Int32Array
  readonly weights: Float64Array
  /** `[cols]` in the order of drawing, and what each has gained. */
  readonly columns: Int32Array
  readonly importance: Float64Array
  /** Four words that random numbers begin with. */
  readonly state: Uint32Array
  /** A tree's nodes, see `forestAt`. */
  readonly nodes: Readonly<Record<'feature' | 'code' | 'left' | 'from' | 'rows', Int32Array>>
  /** See {@link forestCodes}: codes row by row, and bounds of bins. */
  readonly codes: Uint8Array
  readonly edges: Float32Array

  constructor(
    readonly storage: ForestStorage,
    readonly thread: number,
  ) {
    const { memory, rows, cols, tried } = storage
    const { buffer } = memory
    this.base = storage.partsAt + thread * storage.partBytes
    const { pointers } = partLayout(this.base, storage)
    this.#header = new Int32Array(buffer, this.base, forestAt.arrays / 4)
    this.#doubles = new Float64Array(buffer, this.base, forestAt.arrays / 8)
    const words = (address: number, length: number) => new Int32Array(buffer, address, length)
    this.places = words(pointers.places, rows + line / 4)
    this.classes = words(pointers.allClasses, rows)
    this.weights = new Float64Array(buffer, pointers.allWeights, rows)
    this.columns = words(pointers.columns, cols)
    this.importance = new Float64Array(buffer, pointers.importance, cols)
    this.state = new Uint32Array(buffer, this.base + forestAt.state, 4)
    this.nodes = {
      feature: words(pointers.nodeFeature, 2 * rows),
      code: words(pointers.nodeCode, 2 * rows),
      left: words(pointers.nodeLeft, 2 * rows),
      from: words(pointers.nodeFrom, 2 * rows),
      rows: words(pointers.nodeRows, 2 * rows),
    }
    const codes = forestCodes(storage)
    this.codes = codes.rows
    this.edges = codes.edges
    for (const [name, pointer] of Object.entries(pointers)) this.set(name as keyof typeof pointers, pointer)
    this.set('cols', cols)
    this.set('rows', rows)
    this.set('tried', tried)
    this.set('batchBytes', batchBytesOf(rows))
    this.set('blockRows', blockRowsOf(storage))
    this.set('columnsAt', storage.columnsAt)
    this.set('rowsAt', storage.rowsAt)
    this.set('rowBytes', storage.rowBytes)
    new Uint8Array(buffer, this.base + forestAt.tail + 16, 16).fill(255)
    this.kernel = forestKernel(memory)
  }

  /** Sets a whole number of the header. */
  set(field: keyof typeof forestAt, value: number): void {
    this.#header[forestAt[field] / 4] = value
  }

  set minWeight(value: number) {
    this.#doubles[forestAt.minWeight / 8] = value
  }
}

/** The part of every storage that this thread works on; a storage is released with its fit. */
const arenas = new WeakMap<ForestStorage, ForestArena>()

/** This thread's part, the same for all trees of a fit. */
export function forestArenaFor(storage: ForestStorage, thread: number): ForestArena {
  const known = arenas.get(storage)
  if (known?.thread === thread) return known
  const arena = new ForestArena(storage, thread)
  arenas.set(storage, arena)
  return arena
}

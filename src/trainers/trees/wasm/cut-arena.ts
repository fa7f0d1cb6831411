import { Fc7Error } from '../../../base/errors.js'
import { mostPages } from './assembler.js'
import { type CutKernel, cutAt, cutModule } from './cut-kernel.js'
import { kernelOf, Layout } from './memory.js'

const cutKernel = kernelOf<CutKernel>(cutModule)
/** Codes gathered at a time: more than a column of a large node, and no more than a core's cache holds beside others. */
const batchBytes = 2 ** 17
/** Bytes of a line of the processor's cache. */
const line = 64

/** What extra-trees read, in one memory of all threads, and behind it a part for each thread to work on. */
export interface CutRoom {
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
  /** `[cols]` 1 where code 0 means a zero and nothing else. */
  readonly zerosAt: number
  /** Where the first thread's part lies, and how far the next one is from it. */
  readonly partsAt: number
  readonly partBytes: number
}

/** At least so many bytes, an odd number of lines: what lies a power of two apart shares one place in the cache. */
export const apart = (bytes: number): number => (Math.ceil(bytes / line) | 1) * line

/** Addresses in a thread's part. */
function partLayout(base: number, { rows, classes, tried }: Pick<CutRoom, 'rows' | 'classes' | 'tried'>) {
  const layout = new Layout(base + cutAt.arrays)
  const take = (bytes: number): number => layout.take(bytes)
  return {
    pointers: {
      weights: take(rows * 8),
      counts: take(classes * 8),
      high: take(classes * 8),
      classes: take(rows * 4),
      best: take(rows),
    },
    words: take(tried * 4),
    columns: take(tried * 4),
    starts: take(rows * 4),
    batch: take(Math.max(batchBytes, rows + line)),
    end: layout.end,
  }
}

/**
 * Where everything lies.
 *
 * @throws Fc7Error TRAINER_TOO_LARGE beyond 4 GiB
 */
function roomLayout(size: Pick<CutRoom, 'rows' | 'cols' | 'classes' | 'tried'>, threads: number) {
  const { rows, cols } = size
  const rowBytes = apart(cols)
  const layout = new Layout(0)
  const take = (bytes: number): number => Math.ceil(layout.take(bytes + line) / line) * line
  const columnsAt = take(rows * cols)
  const rowsAt = take(rows * rowBytes)
  const zerosAt = take(cols)
  const partBytes = Math.ceil(partLayout(0, size).end / line) * line
  const partsAt = take(partBytes * threads)
  if (layout.end > mostPages * 2 ** 16) {
    throw new Fc7Error('TRAINER_TOO_LARGE', `Extra trees cannot be grown on ${rows} rows of ${cols} numbers.`, {
      hint: 'Two bytes for each number must fit into 4 GiB: train on fewer rows, or on fewer columns (pca:<n>).',
    })
  }
  return { layout, columnsAt, rowsAt, rowBytes, zerosAt, partsAt, partBytes }
}

/** Memory for so many rows and columns, all of it 0. @throws Fc7Error TRAINER_TOO_LARGE beyond 4 GiB */
export function openCutRoom(size: Pick<CutRoom, 'rows' | 'cols' | 'classes' | 'tried'>, threads: number): CutRoom {
  const { layout, ...places } = roomLayout(size, threads)
  return { ...size, ...places, memory: layout.memory(true) }
}

/** Refuses what cannot be grown in one thread with two classes. @throws Fc7Error TRAINER_TOO_LARGE */
export function checkCutSize(rows: number, cols: number): void {
  roomLayout({ rows, cols, classes: 2, tried: 1 }, 1)
}

/** The codes of a room, see there. */
export const cutCodes = ({ memory: { buffer }, rows, cols, columnsAt, rowsAt, rowBytes, zerosAt }: CutRoom) => ({
  columns: new Uint8Array(buffer, columnsAt, rows * cols),
  rows: new Uint8Array(buffer, rowsAt, rows * rowBytes),
  zeros: new Uint8Array(buffer, zerosAt, cols),
})

/** One thread's part of a room, with the kernel. */
export class CutArena {
  readonly kernel: CutKernel
  readonly base: number
  readonly header: Int32Array
  readonly doubles: Float64Array
  /** What a search wants to know of a node's rows, see search.ts. */
  readonly y: Int32Array
  readonly w: Float64Array
  readonly counts: Float64Array
  /** `[tried]` where columns begin, and random words. */
  readonly columns: Int32Array
  readonly words: Uint32Array
  /** `[rows]` where the node's rows begin. */
  readonly starts: Int32Array
  readonly batch: { readonly start: number; readonly length: number }
  /** `[rows]` codes of the best column by place, after a search. */
  readonly best: Uint8Array
  readonly rowCodes: Uint8Array
  readonly zeros: Uint8Array

  constructor(
    readonly room: CutRoom,
    readonly thread: number,
  ) {
    const { memory, rows, classes, tried } = room
    const { buffer } = memory
    this.base = room.partsAt + thread * room.partBytes
    const { pointers, words, columns, starts, batch } = partLayout(this.base, room)
    this.batch = { start: batch, length: Math.max(batchBytes, rows + line) }
    this.header = new Int32Array(buffer, this.base, cutAt.arrays / 4)
    this.doubles = new Float64Array(buffer, this.base, cutAt.arrays / 8)
    this.y = new Int32Array(buffer, pointers.classes, rows)
    this.w = new Float64Array(buffer, pointers.weights, rows)
    this.counts = new Float64Array(buffer, pointers.counts, classes)
    this.words = new Uint32Array(buffer, words, tried)
    this.columns = new Int32Array(buffer, columns, tried)
    this.starts = new Int32Array(buffer, starts, rows)
    this.best = new Uint8Array(buffer, pointers.best, rows)
    const codes = cutCodes(room)
    this.rowCodes = codes.rows
    this.zeros = codes.zeros
    for (const [name, pointer] of Object.entries(pointers))
      this.header[cutAt[name as keyof typeof pointers] / 4] = pointer
    this.header[cutAt.classCount / 4] = classes
    new Uint8Array(buffer, this.base + cutAt.tail + 16, 16).fill(255)
    this.kernel = cutKernel(memory)
  }
}

/** The part of every room that this thread works on; a room is let go with its fit. */
const arenas = new WeakMap<CutRoom, CutArena>()

/** This thread's part, the same for all trees of a fit. */
export function cutArenaFor(room: CutRoom, thread: number): CutArena {
  const known = arenas.get(room)
  if (known?.thread === thread) return known
  const arena = new CutArena(room, thread)
  arenas.set(room, arena)
  return arena
}

import { type CutKernel, cutAt, cutModule } from './cut-kernel.js'
import { kernelOf, Layout } from './memory.js'

/** Values gathered at a time. */
const batchValues = 2 ** 16

const cutKernel = kernelOf<CutKernel>(cutModule)

/** The kernel and the memory it works on. */
export class CutArena {
  readonly kernel: CutKernel
  readonly header: Int32Array
  readonly doubles: Float64Array
  readonly floats: Float32Array
  /** What a search wants to know of a node's rows, see search.ts. */
  readonly y: Int32Array
  readonly w: Float64Array
  readonly counts: Float64Array
  /** `[tried]` random words. */
  readonly words: Uint32Array
  readonly batch: { readonly start: number; readonly values: number }

  constructor(
    readonly rows: number,
    readonly classes: number,
    readonly tried: number,
  ) {
    const layout = new Layout(cutAt.arrays)
    const take = (bytes: number): number => layout.take(bytes)
    const at = { weights: take(rows * 8), counts: take(classes * 8), high: take(classes * 8), classes: take(rows * 4) }
    const words = take(tried * 4)
    const values = Math.max(batchValues, rows + 4)
    this.batch = { start: take(values * 4), values }
    const memory = layout.memory()
    const { buffer } = memory
    this.header = new Int32Array(buffer, 0, cutAt.arrays / 4)
    this.doubles = new Float64Array(buffer, 0, cutAt.arrays / 8)
    this.floats = new Float32Array(buffer)
    this.y = new Int32Array(buffer, at.classes, rows)
    this.w = new Float64Array(buffer, at.weights, rows)
    this.counts = new Float64Array(buffer, at.counts, classes)
    this.words = new Uint32Array(buffer, words, tried)
    for (const [name, pointer] of Object.entries(at)) this.header[cutAt[name as keyof typeof at] / 4] = pointer
    this.header[cutAt.classCount / 4] = classes
    this.kernel = cutKernel(memory)
  }
}

let last: CutArena | undefined

/** This thread's arena for data of this size, made again only when the size is another one. */
export function cutArenaFor(rows: number, classes: number, tried: number): CutArena {
  if (last?.rows !== rows || last.classes !== classes || last.tried !== tried) last = new CutArena(rows, classes, tried)
  return last
}

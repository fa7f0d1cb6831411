import {
  assembleFunction,
  assembleModule,
  type Expr,
  f32,
  f32x4,
  f64,
  i32,
  i32x4,
  v128,
  when,
  whilst,
} from './assembler.js'
import { long, word } from './sorting.js'

/*
 * Extra-trees' search in WebAssembly: of each column one cut, drawn uniformly between the smallest and the largest value of the node's
 * rows, judged by gini.
 */

/** Where things lie in the memory, in bytes. Pointers are bytes too. */
export const cutAt = {
  /** f64, in and out: the best gain so far. */
  gain: 0,
  /** f64 of the node: its weight and its sum of squares; least weight of a side. */
  total: 8,
  sum: 16,
  minWeight: 24,
  /** Out, where a column of this call was better: which one (i32), and the value up to which rows go left (f32). */
  column: 32,
  threshold: 36,
  /** i32: rows of the node, fewest rows of a side, classes. */
  n: 40,
  minRows: 44,
  classCount: 48,
  /** Pointers to class (i32) and weight (f64) of every place, weight of every class (f64), and as many zeros. */
  classes: 52,
  weights: 56,
  counts: 60,
  high: 64,
  arrays: 128,
} as const

const zero = i32.const(0)
const one = i32.const(1)
const header = (field: number): Expr => i32.load(zero, field)
const number = (field: number): Expr => f64.load(zero, field)
const double = (n: Expr): Expr => f64.add(n, n)

/**
 * Judges `width` columns, whose values begin every `stride` bytes and are filled up to whole vectors with values of their own, with a
 * random word for each at `words`. Returns how many vary in the node.
 */
const search = assembleFunction({
  params: { values: 'i32', stride: 'i32', width: 'i32', words: 'i32' },
  locals: {
    n: 'i32',
    classes: 'i32',
    weights: 'i32',
    counts: 'i32',
    high: 'i32',
    column: 'i32',
    varying: 'i32',
    k: 'i32',
    mask: 'i32',
    place: 'i32',
    own: 'i32',
    above: 'i32',
    least: 'v128',
    most: 'v128',
    four: 'v128',
    low: 'f32',
    top: 'f32',
    threshold: 'f32',
    w: 'f64',
    h: 'f64',
    highSum: 'f64',
    lowSum: 'f64',
    highWeight: 'f64',
    lowWeight: 'f64',
    gain: 'f64',
    product: 'f64',
  },
  result: 'i32',
  body: (v) => {
    const { values, stride, width, words, n, classes, weights, counts, high, column, varying, k, mask, place, own } = v
    const { above, least, most, four, low, top, threshold, w, h } = v
    const { highSum, lowSum, highWeight, lowWeight, gain, product } = v
    const ofAll = (vector: Expr, two: (a: Expr, b: Expr) => Expr): Expr =>
      f32x4.lane.map((lane) => lane(vector)).reduce((a, b) => two(a, b))
    const enough = [
      i32.ge(above.get, header(cutAt.minRows)),
      i32.ge(i32.sub(n.get, above.get), header(cutAt.minRows)),
      f64.ge(highWeight.get, number(cutAt.minWeight)),
      f64.ge(lowWeight.get, number(cutAt.minWeight)),
    ]
    const addRow = [
      place.set(i32.add(k.get, i32.ctz(mask.get))),
      mask.set(i32.and(mask.get, i32.sub(mask.get, one))),
      own.set(i32.shl(i32.load(word(classes, place)), i32.const(3))),
      w.set(f64.load(long(weights, place))),
      h.set(f64.load(i32.add(high.get, own.get))),
      highSum.set(f64.add(highSum.get, f64.mul(w.get, f64.add(double(h.get), w.get)))),
      lowSum.set(
        f64.add(
          lowSum.get,
          f64.mul(w.get, f64.sub(f64.add(w.get, double(h.get)), double(f64.load(i32.add(counts.get, own.get))))),
        ),
      ),
      f64.store(i32.add(high.get, own.get), f64.add(h.get, w.get)),
      highWeight.set(f64.add(highWeight.get, w.get)),
      above.step(1),
    ]
    return [
      n.set(header(cutAt.n)),
      classes.set(header(cutAt.classes)),
      weights.set(header(cutAt.weights)),
      counts.set(header(cutAt.counts)),
      high.set(header(cutAt.high)),
      whilst(
        i32.lt(column.get, width.get),
        least.set(v128.load(values.get)),
        most.set(least.get),
        k.set(i32.const(4)),
        whilst(
          i32.lt(k.get, n.get),
          four.set(v128.load(word(values, k))),
          least.set(f32x4.least(least.get, four.get)),
          most.set(f32x4.most(most.get, four.get)),
          k.step(4),
        ),
        low.set(ofAll(least.get, f32.min)),
        top.set(ofAll(most.get, f32.max)),
        when(i32.ne(f32.eq(low.get, top.get), one), [
          varying.step(1),
          w.set(f64.mul(f64.ofUnsigned(i32.load(words.get)), f64.const(2 ** -32))),
          threshold.set(
            f32.of(f64.add(f64.ofFloat(low.get), f64.mul(f64.sub(f64.ofFloat(top.get), f64.ofFloat(low.get)), w.get))),
          ),
          when(f32.ge(threshold.get, top.get), [threshold.set(low.get)]),
          four.set(f32x4.splat(threshold.get)),
          highSum.set(f64.const(0)),
          lowSum.set(number(cutAt.sum)),
          highWeight.set(f64.const(0)),
          above.set(zero),
          k.set(zero),
          whilst(
            i32.lt(k.get, n.get),
            mask.set(i32x4.mask(f32x4.gt(v128.load(word(values, k)), four.get))),
            // What fills up the last vector is no row.
            when(i32.lt(i32.sub(n.get, k.get), i32.const(4)), [
              mask.set(i32.and(mask.get, i32.sub(i32.shl(one, i32.sub(n.get, k.get)), one))),
            ]),
            whilst(mask.get, ...addRow),
            k.step(4),
          ),
          lowWeight.set(f64.sub(number(cutAt.total), highWeight.get)),
          product.set(f64.mul(highWeight.get, lowWeight.get)),
          gain.set(f64.add(f64.mul(highSum.get, lowWeight.get), f64.mul(lowSum.get, highWeight.get))),
          when(f64.gt(gain.get, f64.mul(number(cutAt.gain), product.get)), [
            when(
              enough.reduce((a, b) => i32.and(a, b)),
              [
                f64.store(zero, f64.div(gain.get, product.get), cutAt.gain),
                i32.store(zero, column.get, cutAt.column),
                f32.store(zero, threshold.get, cutAt.threshold),
              ],
            ),
          ]),
          // Whichever is shorter: all classes, or those of the node's rows.
          k.set(zero),
          when(
            i32.lt(header(cutAt.classCount), n.get),
            [whilst(i32.lt(k.get, header(cutAt.classCount)), v128.store(long(high, k), v128.zero), k.step(2))],
            [
              whilst(
                i32.lt(k.get, n.get),
                f64.store(i32.add(high.get, i32.shl(i32.load(word(classes, k)), i32.const(3))), f64.const(0)),
                k.step(1),
              ),
            ],
          ),
        ]),
        values.set(i32.add(values.get, stride.get)),
        words.step(4),
        column.step(1),
      ),
      varying.get,
    ]
  },
})

interface CutKernel {
  search(values: number, stride: number, width: number, words: number): number
}

/** Values gathered at a time. */
const batchValues = 2 ** 16

let compiled: WebAssembly.Module | undefined

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
    let end: number = cutAt.arrays
    const take = (bytes: number): number => {
      const start = end
      end += Math.ceil((bytes + 16) / 16) * 16
      return start
    }
    const at = { weights: take(rows * 8), counts: take(classes * 8), high: take(classes * 8), classes: take(rows * 4) }
    const words = take(tried * 4)
    const values = Math.max(batchValues, rows + 4)
    this.batch = { start: take(values * 4), values }
    const memory = new WebAssembly.Memory({ initial: Math.ceil(end / 65_536) })
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
    compiled ??= new WebAssembly.Module(assembleModule(new Map([['search', search]])))
    this.kernel = new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as CutKernel
  }
}

let last: CutArena | undefined

/** This thread's arena for data of this size, made again only when the size is another one. */
export function cutArenaFor(rows: number, classes: number, tried: number): CutArena {
  if (last?.rows !== rows || last.classes !== classes || last.tried !== tried) last = new CutArena(rows, classes, tried)
  return last
}

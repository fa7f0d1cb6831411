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
import { forgetClass, judged, moveRow } from './gini.js'
import { header, long, word } from './sorting.js'

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
const number = (field: number): Expr => f64.load(zero, field)

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
    const { values, stride, width, words, n, classes, weights, counts, high, column, varying, k, mask, place } = v
    const { above, least, most, four, low, top, threshold, w } = v
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
      ...moveRow(v),
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
          ...judged(v, number(cutAt.total)),
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
            [whilst(i32.lt(k.get, n.get), forgetClass(v, k), k.step(1))],
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

/** What the module exports. */
export interface CutKernel {
  search(values: number, stride: number, width: number, words: number): number
}

/** The module's bytes. */
export const cutModule = (): Uint8Array<ArrayBuffer> => assembleModule(new Map([['search', search]]))

import {
  assembleFunction,
  assembleModule,
  copyBytes,
  type Expr,
  f64,
  i8x16,
  i32,
  type Local,
  v128,
  when,
  whilst,
} from './assembler.js'
import { forgetClass, judged, moveRow } from './gini.js'
import { long, word } from './sorting.js'

/*
 * Extra-trees' search in WebAssembly: of each column one cut, drawn uniformly between the smallest and the largest bin of the node's
 * rows, judged by gini.
 */

/** Where things lie in a thread's part of the memory, in bytes. Pointers are bytes of the whole memory. */
export const cutAt = {
  /** f64, in and out: the best gain so far. */
  gain: 0,
  /** f64 of the node: its weight and its sum of squares; least weight of a side. */
  total: 8,
  sum: 16,
  minWeight: 24,
  /** i32, out, where a column of this call was better: which one, and the code up to which rows go left. */
  column: 32,
  code: 36,
  /** i32: rows of the node, fewest rows of a side, classes. */
  n: 40,
  minRows: 44,
  classCount: 48,
  /** Pointers to class (i32) and weight (f64) of every place, weight of every class (f64), and as many zeros. */
  classes: 52,
  weights: 56,
  counts: 60,
  high: 64,
  /** Pointer to room for the codes of the best column, by place. */
  best: 68,
  /** 16 bytes of 0 and 16 of 255. */
  tail: 80,
  arrays: 128,
} as const

const zero = i32.const(0)
const one = i32.const(1)
/** The least or the largest byte of a vector. */
const ofAll = (vector: Local, two: (a: Expr, b: Expr) => Expr): Expr[] => [
  ...[8, 4, 2, 1].map((by) => vector.set(two(vector.get, i8x16.turned(by, vector.get)))),
]

/**
 * Gathers the codes of `n` rows in `width` columns to `to`, those of a column every `stride` bytes. The code of a row in a column lies at
 * the sum of what `starts` has for the row and `columns` for the column (i32). Columns after columns, for codes that lie so, or rows
 * after rows.
 */
const gather = (outer: 'rows' | 'columns') =>
  assembleFunction({
    params: { starts: 'i32', n: 'i32', columns: 'i32', width: 'i32', to: 'i32', stride: 'i32' },
    locals: { d: 'i32', k: 'i32', first: 'i32', at: 'i32' },
    body: ({ starts, n, columns, width, to, stride, d, k, first, at }) =>
      outer === 'columns'
        ? [
            whilst(
              i32.lt(d.get, width.get),
              first.set(i32.load(word(columns, d))),
              k.set(zero),
              whilst(
                i32.lt(k.get, n.get),
                i32.store8(i32.add(to.get, k.get), i32.load8(i32.add(i32.load(word(starts, k)), first.get))),
                k.step(1),
              ),
              to.set(i32.add(to.get, stride.get)),
              d.step(1),
            ),
          ]
        : [
            whilst(
              i32.lt(k.get, n.get),
              first.set(i32.load(word(starts, k))),
              at.set(i32.add(to.get, k.get)),
              d.set(zero),
              whilst(
                i32.lt(d.get, width.get),
                i32.store8(at.get, i32.load8(i32.add(first.get, i32.load(word(columns, d))))),
                at.set(i32.add(at.get, stride.get)),
                d.step(1),
              ),
              k.step(1),
            ),
          ],
  })

/**
 * Judges `width` columns of the node's rows, whose codes begin every `stride` bytes at `codes`, with a random word for each at `words`.
 * Copies the codes of one that is better. Returns how many vary in the node.
 *
 * @param base where the thread's part begins
 */
const search = assembleFunction({
  params: { base: 'i32', codes: 'i32', stride: 'i32', width: 'i32', words: 'i32' },
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
    low: 'i32',
    top: 'i32',
    code: 'i32',
    left: 'i32',
    least: 'v128',
    most: 'v128',
    some: 'v128',
    beyond: 'v128',
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
    const { base, codes, stride, width, words, n, classes, weights, counts, high, column, varying, k, mask, place } = v
    const { above, low, top, code, left, least, most, some, beyond } = v
    const { highSum, lowSum, highWeight, lowWeight, gain, product } = v
    const header = (field: number): Expr => i32.load(base.get, field)
    const number = (field: number): Expr => f64.load(base.get, field)
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
        least.set(v128.load(base.get, cutAt.tail + 16)),
        most.set(v128.zero),
        k.set(zero),
        left.set(n.get),
        whilst(
          i32.lt(i32.const(15), left.get),
          some.set(v128.load(i32.add(codes.get, k.get))),
          least.set(i8x16.minU(least.get, some.get)),
          most.set(i8x16.maxU(most.get, some.get)),
          k.step(16),
          left.step(-16),
        ),
        // What lies behind the last row in its vector is no code.
        when(left.get, [
          some.set(v128.load(i32.add(codes.get, k.get))),
          beyond.set(v128.load(i32.sub(base.get, left.get), cutAt.tail + 16)),
          least.set(i8x16.minU(least.get, v128.or(some.get, beyond.get))),
          most.set(i8x16.maxU(most.get, v128.andNot(some.get, beyond.get))),
        ]),
        ...ofAll(least, i8x16.minU),
        ...ofAll(most, i8x16.maxU),
        low.set(i8x16.first(least.get)),
        top.set(i8x16.first(most.get)),
        when(i32.ne(low.get, top.get), [
          varying.step(1),
          // The word's lower half: its product with the bins between stays a word.
          code.set(
            i32.add(
              low.get,
              i32.shrU(
                i32.mul(i32.and(i32.load(words.get), i32.const(0xffff)), i32.sub(top.get, low.get)),
                i32.const(16),
              ),
            ),
          ),
          some.set(i8x16.splat(code.get)),
          highSum.set(f64.const(0)),
          lowSum.set(number(cutAt.sum)),
          highWeight.set(f64.const(0)),
          above.set(zero),
          k.set(zero),
          whilst(
            i32.lt(k.get, n.get),
            mask.set(i8x16.mask(i8x16.gtU(v128.load(i32.add(codes.get, k.get)), some.get))),
            when(i32.lt(i32.sub(n.get, k.get), i32.const(16)), [
              mask.set(i32.and(mask.get, i32.sub(i32.shl(one, i32.sub(n.get, k.get)), one))),
            ]),
            whilst(mask.get, ...addRow),
            k.step(16),
          ),
          ...judged(v, number(cutAt.total)),
          when(f64.gt(gain.get, f64.mul(number(cutAt.gain), product.get)), [
            when(
              enough.reduce((a, b) => i32.and(a, b)),
              [
                f64.store(base.get, f64.div(gain.get, product.get), cutAt.gain),
                i32.store(base.get, column.get, cutAt.column),
                i32.store(base.get, code.get, cutAt.code),
                copyBytes(header(cutAt.best), codes.get, n.get),
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
        codes.set(i32.add(codes.get, stride.get)),
        words.step(4),
        column.step(1),
      ),
      varying.get,
    ]
  },
})

/** What the module exports. */
export interface CutKernel {
  gatherRows(starts: number, n: number, columns: number, width: number, to: number, stride: number): void
  gatherColumns(starts: number, n: number, columns: number, width: number, to: number, stride: number): void
  search(base: number, codes: number, stride: number, width: number, words: number): number
}

/** The module's bytes. */
export const cutModule = (): Uint8Array<ArrayBuffer> =>
  assembleModule(
    new Map([
      ['gatherRows', gather('rows')],
      ['gatherColumns', gather('columns')],
      ['search', search],
    ]),
    { shared: true },
  )

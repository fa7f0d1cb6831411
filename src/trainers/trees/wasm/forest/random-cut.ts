import {
  assembleFunction,
  type Expr,
  f64,
  i8x16,
  i32,
  type Local,
  one,
  v128,
  when,
  whileLoop,
  zero,
} from '../assembler.js'
import { firstBits, word } from '../sorting.js'
import { forestAt, fromHeader, headerOf, numberOf } from './forest-header.js'
import { enough, forgetKinds, judged, keepColumn, moveRow, xlogx } from './judging.js'

/* The judge of extra-trees: of each column one cut, drawn uniformly between the node's smallest and largest bin. */

/** The least or the largest byte of a vector, put into all of it. */
export const ofAll = (vector: Local, two: (a: Expr, b: Expr) => Expr): Expr[] => [
  ...[8, 4, 2, 1].map((by) => vector.set(two(vector.get, i8x16.turned(by, vector.get)))),
]

/**
 * Judges `width` columns of the node's rows, whose codes begin every `stride` bytes at `codes`, with a random word for
 * each at `words`. Keeps the codes of one that is better; stops at one that none exceeds. Returns how many of those
 * looked at vary in the node.
 *
 * @param base where the thread's part begins
 * @param columns the columns' numbers
 */
export const judgeRandom = assembleFunction({
  params: { base: 'i32', codes: 'i32', stride: 'i32', width: 'i32', words: 'i32', columns: 'i32' },
  locals: {
    n: 'i32',
    kinds: 'i32',
    kindList: 'i32',
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
    const { base, codes, stride, width, words, n, kinds, kindList, counts, high } = v
    const { column, varying, k, mask, place, own, above, low, top, code, left, least, most, some, beyond } = v
    const { h, highSum, lowSum, highWeight, lowWeight, gain, product } = v
    const header = headerOf(base)
    const number = numberOf(base)
    const addRow = [
      place.set(i32.add(k.get, i32.ctz(mask.get))),
      mask.set(i32.and(mask.get, i32.sub(mask.get, one))),
      ...moveRow(v),
      above.step(1),
    ]
    const ofKind = own.set(i32.load(word(kindList, k)))
    return [
      ...fromHeader(v, base, ['n', 'kinds', 'kindList', 'classes', 'weights', 'counts', 'high']),
      whileLoop(
        i32.lt(column.get, width.get),
        least.set(v128.load(base.get, forestAt.tail + 16)),
        most.set(v128.zero),
        k.set(zero),
        left.set(n.get),
        whileLoop(
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
          beyond.set(v128.load(i32.sub(base.get, left.get), forestAt.tail + 16)),
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
                i32.mul(i32.and(i32.load(word(words, column)), i32.const(0xffff)), i32.sub(top.get, low.get)),
                i32.const(16),
              ),
            ),
          ),
          some.set(i8x16.splat(code.get)),
          highSum.set(f64.const(0)),
          lowSum.set(number(forestAt.sum)),
          highWeight.set(f64.const(0)),
          above.set(zero),
          k.set(zero),
          whileLoop(
            i32.lt(k.get, n.get),
            mask.set(i8x16.mask(i8x16.gtU(v128.load(i32.add(codes.get, k.get)), some.get))),
            when(i32.lt(i32.sub(n.get, k.get), i32.const(16)), [
              mask.set(i32.and(mask.get, firstBits(i32.sub(n.get, k.get)))),
            ]),
            whileLoop(mask.get, ...addRow),
            k.step(16),
          ),
          ...judged(v, number(forestAt.total)),
          when(header(forestAt.entropy), [
            highSum.set(f64.const(0)),
            k.set(zero),
            whileLoop(
              i32.lt(k.get, kinds.get),
              ofKind,
              h.set(f64.load(i32.add(high.get, own.get))),
              highSum.set(
                f64.add(
                  f64.add(highSum.get, xlogx(h.get)),
                  xlogx(f64.sub(f64.load(i32.add(counts.get, own.get)), h.get)),
                ),
              ),
              k.step(1),
            ),
            gain.set(f64.sub(f64.sub(highSum.get, xlogx(highWeight.get)), xlogx(lowWeight.get))),
            product.set(f64.const(1)),
          ]),
          // Forgets the weights above the cut.
          ...forgetKinds(v, kindList, kinds, k),
          when(f64.gt(gain.get, f64.mul(number(forestAt.gain), product.get)), [
            when(enough(v, v, above), [
              f64.store(base.get, f64.div(gain.get, product.get), forestAt.gain),
              i32.store(base.get, code.get, forestAt.code),
              ...keepColumn(v),
            ]),
          ]),
        ]),
        codes.set(i32.add(codes.get, stride.get)),
        column.step(1),
      ),
      varying.get,
    ]
  },
})

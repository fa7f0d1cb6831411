import { assembleFunction, call, f64, i32, when, whileLoop, zero } from '../assembler.js'
import { codeOf, long, placeMask, word } from '../sorting.js'
import { forestAt, fromHeader } from './forest-header.js'
import { enough, forgetClass, forgetKinds, judged, keepColumn, moveRow, xlogx } from './judging.js'

/*
 * The judge of random forests: of each column the best cut. A sweep goes from the largest code down; rows of code 0 are
 * what the others leave over.
 */

/**
 * Sweeps over the `m` sorted entries of a column. Returns 1 if a cut was better than the best so far, and leaves its
 * gain and code.
 *
 * @param base where the thread's part begins
 */
const sweepBy = (criterion: 'gini' | 'entropy') =>
  assembleFunction({
    params: { base: 'i32', m: 'i32' },
    locals: {
      n: 'i32',
      classes: 'i32',
      weights: 'i32',
      counts: 'i32',
      high: 'i32',
      sorted: 'i32',
      kindList: 'i32',
      kinds: 'i32',
      k: 'i32',
      entry: 'i32',
      next: 'i32',
      place: 'i32',
      code: 'i32',
      own: 'i32',
      total: 'f64',
      best: 'f64',
      w: 'f64',
      h: 'f64',
      l: 'f64',
      lowSum: 'f64',
      highSum: 'f64',
      highWeight: 'f64',
      lowWeight: 'f64',
      gain: 'f64',
      product: 'f64',
    },
    result: 'i32',
    body: (v) => {
      const { base, m, classes, weights, counts, high, sorted, kindList, kinds, k, entry, next, place, code, own } = v
      const { total, best, w, h, l, lowSum, highSum, highWeight, lowWeight, gain, product } = v
      const differs = i32.ne(codeOf(entry.get), codeOf(next.get))
      // What is seldom true comes first: branches that cannot be guessed cost more than the sums.
      const keepBetter = when(f64.gt(gain.get, f64.mul(best.get, product.get)), [
        when(i32.and(differs, enough(v, v, k)), [best.set(f64.div(gain.get, product.get)), code.set(codeOf(next.get))]),
      ])
      const ofHigh = i32.add(high.get, own.get)
      const moveByEntropy = [
        own.set(i32.shl(i32.load(word(classes, place)), i32.const(3))),
        w.set(f64.load(long(weights, place))),
        h.set(f64.load(ofHigh)),
        l.set(f64.sub(f64.load(i32.add(counts.get, own.get)), h.get)),
        // The sum of both sides.
        highSum.set(
          f64.add(
            highSum.get,
            f64.add(
              f64.sub(xlogx(f64.add(h.get, w.get)), xlogx(h.get)),
              f64.sub(xlogx(f64.sub(l.get, w.get)), xlogx(l.get)),
            ),
          ),
        ),
        f64.store(ofHigh, f64.add(h.get, w.get)),
        highWeight.set(f64.add(highWeight.get, w.get)),
      ]
      const judgedByEntropy = [
        lowWeight.set(f64.sub(total.get, highWeight.get)),
        gain.set(f64.sub(f64.sub(highSum.get, xlogx(highWeight.get)), xlogx(lowWeight.get))),
      ]
      return [
        ...fromHeader(v, base, ['n', 'classes', 'weights', 'counts', 'high', 'sorted', 'kindList', 'kinds']),
        total.set(f64.load(base.get, forestAt.total)),
        (criterion === 'gini' ? lowSum : highSum).set(f64.load(base.get, forestAt.sum)),
        product.set(f64.const(1)),
        best.set(f64.load(base.get, forestAt.gain)),
        code.set(i32.const(-1)),
        entry.set(i32.load(sorted.get)),
        whileLoop(
          i32.lt(k.get, m.get),
          place.set(i32.and(entry.get, i32.const(placeMask))),
          ...(criterion === 'gini' ? moveRow(v) : moveByEntropy),
          k.step(1),
          next.set(i32.load(word(sorted, k))),
          ...(criterion === 'gini' ? judged(v, total.get) : [when(differs, judgedByEntropy)]),
          keepBetter,
          entry.set(next.get),
        ),
        // Whichever are fewer: the node's classes, or the rows.
        when(i32.lt(kinds.get, m.get), forgetKinds(v, kindList, kinds, k), [
          k.set(zero),
          whileLoop(
            i32.lt(k.get, m.get),
            place.set(i32.and(i32.load(word(sorted, k)), i32.const(placeMask))),
            forgetClass(v, place),
            k.step(1),
          ),
        ]),
        when(i32.ge(code.get, zero), [
          f64.store(base.get, best.get, forestAt.gain),
          i32.store(base.get, code.get, forestAt.code),
        ]),
        i32.ge(code.get, zero),
      ]
    },
  })

export const sweepGini = sweepBy('gini')
export const sweepEntropy = sweepBy('entropy')

/** Numbers of the functions that the judge calls. */
export interface BestCutNumbers {
  readonly collect: number
  readonly sort: number
  readonly sweepGini: number
  readonly sweepEntropy: number
}

/**
 * Judges `width` columns of the node's rows, whose codes begin every `stride` bytes at `codes`. Keeps the codes of one
 * that is better; stops at one that none exceeds. Returns how many of those looked at vary in the node.
 *
 * @param base where the thread's part begins
 * @param words not looked at
 * @param columns the columns' numbers
 */
export const judgeBest = (fn: BestCutNumbers) =>
  assembleFunction({
    params: { base: 'i32', codes: 'i32', stride: 'i32', width: 'i32', words: 'i32', columns: 'i32' },
    locals: { n: 'i32', column: 'i32', varying: 'i32', m: 'i32', sorted: 'i32', better: 'i32' },
    result: 'i32',
    body: (v) => {
      const { base, codes, stride, width, n, column, varying, m, sorted, better } = v
      const differs = i32.ne(codeOf(i32.load(sorted.get)), codeOf(i32.load(i32.sub(word(sorted, m), i32.const(4)))))
      return [
        n.set(i32.load(base.get, forestAt.n)),
        sorted.set(i32.load(base.get, forestAt.sorted)),
        whileLoop(
          i32.lt(column.get, width.get),
          m.set(call(fn.collect, base.get, codes.get)),
          when(m.get, [
            call(fn.sort, base.get, m.get),
            // One code in all rows?
            when(i32.or(i32.ne(m.get, n.get), differs), [
              varying.step(1),
              when(
                i32.load(base.get, forestAt.entropy),
                [better.set(call(fn.sweepEntropy, base.get, m.get))],
                [better.set(call(fn.sweepGini, base.get, m.get))],
              ),
              when(better.get, keepColumn(v)),
            ]),
          ]),
          codes.set(i32.add(codes.get, stride.get)),
          column.step(1),
        ),
        varying.get,
      ]
    },
  })

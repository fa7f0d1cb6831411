import { assembleFunction, assembleModule, call, f64, i32, when, whilst } from './assembler.js'
import { forgetClass, judged, moveRow } from './gini.js'
import { at, codeOf, header, numbered, placeMask, sorting, word } from './sorting.js'

/*
 * The inner loops of a forest's search. A sweep goes from the largest code down; rows of code 0 are what the others leave over.
 */

/** Sweeps over `m` sorted entries by gini. Returns 1 if a cut was better than the best so far, and leaves its gain and code. */
const sweepGini = assembleFunction({
  params: { m: 'i32' },
  locals: {
    n: 'i32',
    minRows: 'i32',
    classes: 'i32',
    weights: 'i32',
    counts: 'i32',
    high: 'i32',
    sorted: 'i32',
    k: 'i32',
    entry: 'i32',
    next: 'i32',
    place: 'i32',
    code: 'i32',
    own: 'i32',
    total: 'f64',
    minWeight: 'f64',
    best: 'f64',
    w: 'f64',
    h: 'f64',
    lowSum: 'f64',
    highSum: 'f64',
    highWeight: 'f64',
    lowWeight: 'f64',
    gain: 'f64',
    product: 'f64',
  },
  result: 'i32',
  body: (v) => {
    const { m, n, minRows, classes, weights, counts, high, sorted, k, entry, next, place, code } = v
    const { total, minWeight, best, lowSum, highWeight, lowWeight, gain, product } = v
    const zero = i32.const(0)
    const enough = [
      i32.ne(codeOf(entry.get), codeOf(next.get)),
      i32.ge(k.get, minRows.get),
      i32.ge(i32.sub(n.get, k.get), minRows.get),
      f64.ge(highWeight.get, minWeight.get),
      f64.ge(lowWeight.get, minWeight.get),
    ]
    return [
      n.set(header(at.n)),
      minRows.set(header(at.minRows)),
      classes.set(header(at.classes)),
      weights.set(header(at.weights)),
      counts.set(header(at.counts)),
      high.set(header(at.high)),
      sorted.set(header(at.sorted)),
      total.set(f64.load(zero, at.total)),
      lowSum.set(f64.load(zero, at.sum)),
      minWeight.set(f64.load(zero, at.minWeight)),
      best.set(f64.load(zero, at.gain)),
      code.set(i32.const(-1)),
      entry.set(i32.load(sorted.get)),
      whilst(
        i32.lt(k.get, m.get),
        place.set(i32.and(entry.get, i32.const(placeMask))),
        ...moveRow(v),
        ...judged(v, total.get),
        k.step(1),
        next.set(i32.load(word(sorted, k))),
        // What is seldom true comes first: branches that cannot be guessed cost more than the sums.
        when(f64.gt(gain.get, f64.mul(best.get, product.get)), [
          when(
            enough.reduce((a, b) => i32.and(a, b)),
            [best.set(f64.div(gain.get, product.get)), code.set(codeOf(next.get))],
          ),
        ]),
        entry.set(next.get),
      ),
      // Not the whole array: with many classes most nodes hold few of them.
      k.set(zero),
      whilst(
        i32.lt(k.get, m.get),
        place.set(i32.and(i32.load(word(sorted, k)), i32.const(placeMask))),
        forgetClass(v, place),
        k.step(1),
      ),
      when(i32.ge(code.get, zero), [f64.store(zero, best.get, at.gain), i32.store(zero, code.get, at.code)]),
      i32.ge(code.get, zero),
    ]
  },
})

/** Numbers of this module's own functions, after those that sort. */
const own = { sweepGini: 5, judge: 6 }

/** Looks for the best cut in the `m` entries of the column number `column`. Returns 0 where the column is constant in the node. */
const judge = assembleFunction({
  params: { column: 'i32', m: 'i32' },
  locals: { sorted: 'i32', varies: 'i32' },
  result: 'i32',
  body: ({ column, m, sorted, varies }) => [
    when(m.get, [
      call(numbered.sort, m.get),
      sorted.set(header(at.sorted)),
      // One code in all rows?
      varies.set(
        i32.or(
          i32.ne(m.get, header(at.n)),
          i32.ne(codeOf(i32.load(sorted.get)), codeOf(i32.load(i32.sub(word(sorted, m), i32.const(4))))),
        ),
      ),
      when(varies.get, [when(call(own.sweepGini, m.get), [i32.store(i32.const(0), column.get, at.column)])]),
    ]),
    varies.get,
  ],
})

/** Judges `width` columns whose codes begin every `stride` bytes; returns how many vary in the node. */
const search = assembleFunction({
  params: { codes: 'i32', stride: 'i32', width: 'i32' },
  locals: { column: 'i32', varying: 'i32' },
  result: 'i32',
  body: ({ codes, stride, width, column, varying }) => [
    whilst(
      i32.lt(column.get, width.get),
      varying.set(i32.add(varying.get, call(own.judge, column.get, call(numbered.collect, codes.get)))),
      codes.set(i32.add(codes.get, stride.get)),
      column.step(1),
    ),
    varying.get,
  ],
})

/** The same for the columns listed (i32) at `columns`, from the addresses of the node's rows. */
const searchRows = assembleFunction({
  params: { rows: 'i32', columns: 'i32', width: 'i32' },
  locals: { column: 'i32', varying: 'i32' },
  result: 'i32',
  body: ({ rows, columns, width, column, varying }) => [
    whilst(
      i32.lt(column.get, width.get),
      varying.set(
        i32.add(
          varying.get,
          call(own.judge, column.get, call(numbered.collectRows, i32.load(word(columns, column)), rows.get)),
        ),
      ),
      column.step(1),
    ),
    varying.get,
  ],
})

/** What the module exports. */
export interface ByteKernel {
  collect(codes: number): number
  collectRows(column: number, rows: number): number
  sort(m: number): void
  search(codes: number, stride: number, width: number): number
  searchRows(rows: number, columns: number, width: number): number
}

/** The module's bytes. */
export const byteModule = (): Uint8Array<ArrayBuffer> =>
  assembleModule(new Map(Object.entries({ ...sorting, sweepGini, judge, search, searchRows })))

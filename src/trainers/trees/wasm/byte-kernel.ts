import {
  assembleFunction,
  assembleModule,
  call,
  type Expr,
  f64,
  i8x16,
  i32,
  i32x4,
  type Local,
  v128,
  when,
  whilst,
} from './assembler.js'

/*
 * The inner loops of a forest's search, in WebAssembly: nothing checks the bounds of arrays and nothing has to warm up.
 *
 * Rows of code 0 (the zeros of an embedding) are never visited: they are what the others leave over. A sweep goes from the largest
 * code down.
 */

/** Bits of an entry that hold the row's place in its node; its code lies above. */
export const placeBits = 20
export const placeMask = 2 ** placeBits - 1
/** Lists of at most this length are sorted by counting for every entry how many are larger. */
const shortList = 16

/** Where things lie in the memory, in bytes. Pointers are bytes too. */
export const at = {
  /** f64, in and out: the best gain so far. */
  gain: 0,
  /** f64 of the node: its weight and its sum of squares; least weight of a side. */
  total: 8,
  sum: 16,
  minWeight: 24,
  /** i32, out, where a column of this call was better: which one, and the code up to which rows go left. */
  column: 32,
  code: 36,
  /** i32: rows of the node, fewest rows of a side. */
  n: 40,
  minRows: 44,
  /** Pointers to the arrays below; `[n]` class (i32) and weight (f64) of every place; `[classes]` f64 weight of the node, and 0. */
  classes: 48,
  weights: 52,
  counts: 56,
  high: 60,
  /** Pointers to room for `n` and 4 entries, and twice as much for sorting. */
  entries: 64,
  sorted: 68,
  before: 72,
  /** i32: codes present in a column, a bit each. */
  present: 96,
  /** i32 for every code: its last entry. */
  latest: 128,
  /** Where the arrays begin. */
  arrays: 2048,
} as const

const header = (field: number): Expr => i32.load(i32.const(0), field)
/** The address of an i32 or f64 in an array. */
const word = (array: Local, index: Local): Expr => i32.add(array.get, i32.shl(index.get, i32.const(2)))
const long = (array: Local, index: Local): Expr => i32.add(array.get, i32.shl(index.get, i32.const(3)))
const codeOf = (entry: Expr): Expr => i32.shrU(entry, i32.const(placeBits))

/** Entries of a column's rows with a code above 0, from their codes one after the other, filled up to 16 with 0; their number. */
const collect = assembleFunction({
  params: { codes: 'i32' },
  locals: { n: 'i32', first: 'i32', mask: 'i32', place: 'i32', to: 'i32' },
  result: 'i32',
  body: ({ codes, n, first, mask, place, to }) => [
    n.set(header(at.n)),
    to.set(header(at.entries)),
    whilst(
      i32.lt(first.get, n.get),
      mask.set(i8x16.mask(i8x16.ne(v128.load(i32.add(codes.get, first.get)), v128.zero))),
      whilst(
        mask.get,
        place.set(i32.add(first.get, i32.ctz(mask.get))),
        mask.set(i32.and(mask.get, i32.sub(mask.get, i32.const(1)))),
        i32.store(to.get, i32.or(i32.shl(i32.load8(i32.add(codes.get, place.get)), i32.const(placeBits)), place.get)),
        to.step(4),
      ),
      first.step(16),
    ),
    i32.shrU(i32.sub(to.get, header(at.entries)), i32.const(2)),
  ],
})

/** The same, from the addresses of the rows' codes. */
const collectRows = assembleFunction({
  params: { column: 'i32', rows: 'i32' },
  locals: { n: 'i32', place: 'i32', code: 'i32', to: 'i32' },
  result: 'i32',
  body: ({ column, rows, n, place, code, to }) => [
    n.set(header(at.n)),
    to.set(header(at.entries)),
    whilst(
      i32.lt(place.get, n.get),
      code.set(i32.load8(i32.add(i32.load(word(rows, place)), column.get))),
      i32.store(to.get, i32.or(i32.shl(code.get, i32.const(placeBits)), place.get)),
      // On by one entry unless the code is 0, without a branch that would be guessed wrong.
      to.set(i32.add(to.get, i32.shl(i32.ne(code.get, i32.const(0)), i32.const(2)))),
      place.step(1),
    ),
    i32.shrU(i32.sub(to.get, header(at.entries)), i32.const(2)),
  ],
})

/** Sorts few entries, largest first, with a 0 at the end. Entries are all different. */
const sortFew = assembleFunction({
  params: { m: 'i32' },
  locals: { entries: 'i32', sorted: 'i32', ranks: 'i32', i: 'i32', j: 'i32', end: 'i32', four: 'v128', rank: 'v128' },
  body: ({ entries, m, sorted, ranks, i, j, end, four, rank }) => [
    entries.set(header(at.entries)),
    sorted.set(header(at.sorted)),
    ranks.set(header(at.before)),
    end.set(word(entries, m)),
    v128.store(end.get, v128.zero),
    i.set(entries.get),
    whilst(
      i32.lt(i.get, end.get),
      four.set(v128.load(i.get)),
      rank.set(v128.zero),
      j.set(entries.get),
      whilst(
        i32.lt(j.get, end.get),
        rank.set(i32x4.sub(rank.get, i32x4.gt(v128.splatWord(j.get), four.get))),
        j.step(4),
      ),
      v128.store(ranks.get, rank.get),
      ...[0, 4, 8, 12].map((lane) =>
        i32.store(i32.add(sorted.get, i32.shl(i32.load(ranks.get, lane), i32.const(2))), i32.load(i.get, lane)),
      ),
      i.step(16),
    ),
    i32.store(word(sorted, m), i32.const(0)),
  ],
})

/** Sorts entries by their code, largest first, with a 0 at the end: a chain of entries for every code, then one chain after the other. */
const sortMany = assembleFunction({
  params: { m: 'i32' },
  locals: {
    entries: 'i32',
    before: 'i32',
    k: 'i32',
    code: 'i32',
    bits: 'i32',
    to: 'i32',
    group: 'i32',
    chain: 'i32',
    bit: 'i32',
  },
  body: ({ entries, m, before, k, code, bits, to, group, chain, bit }) => {
    const ofGroup = i32.add(i32.const(at.present), i32.shl(group.get, i32.const(2)))
    const latest = i32.add(i32.const(at.latest), i32.shl(code.get, i32.const(2)))
    return [
      entries.set(header(at.entries)),
      before.set(header(at.before)),
      whilst(
        i32.lt(k.get, m.get),
        code.set(codeOf(i32.load(word(entries, k)))),
        group.set(i32.shrU(code.get, i32.const(5))),
        bits.set(i32.load(ofGroup)),
        // -1 ends a chain; its bits are all set.
        i32.store(
          word(before, k),
          i32.or(
            i32.load(latest),
            i32.sub(i32.and(i32.shrU(bits.get, i32.and(code.get, i32.const(31))), i32.const(1)), i32.const(1)),
          ),
        ),
        i32.store(latest, k.get),
        i32.store(ofGroup, i32.or(bits.get, i32.shl(i32.const(1), i32.and(code.get, i32.const(31))))),
        k.step(1),
      ),
      to.set(header(at.sorted)),
      group.set(i32.const(7)),
      whilst(
        i32.ge(group.get, i32.const(0)),
        bits.set(i32.load(ofGroup)),
        i32.store(ofGroup, i32.const(0)),
        whilst(
          bits.get,
          bit.set(i32.sub(i32.const(31), i32.clz(bits.get))),
          bits.set(i32.xor(bits.get, i32.shl(i32.const(1), bit.get))),
          code.set(i32.add(i32.shl(group.get, i32.const(5)), bit.get)),
          chain.set(i32.load(latest)),
          whilst(
            i32.ge(chain.get, i32.const(0)),
            i32.store(to.get, i32.load(word(entries, chain))),
            to.step(4),
            chain.set(i32.load(word(before, chain))),
          ),
        ),
        group.step(-1),
      ),
      i32.store(to.get, i32.const(0)),
    ]
  },
})

/** Twice an expression that is a local or a constant. */
const double = (n: Expr): Expr => f64.add(n, n)

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
    const { m, n, minRows, classes, weights, counts, high, sorted, k, entry, next, place, code, own } = v
    const { total, minWeight, best, w, h, lowSum, highSum, highWeight, lowWeight, gain, product } = v
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
        own.set(i32.shl(i32.load(word(classes, place)), i32.const(3))),
        w.set(f64.load(long(weights, place))),
        h.set(f64.load(i32.add(high.get, own.get))),
        highSum.set(f64.add(highSum.get, f64.mul(w.get, f64.add(double(h.get), w.get)))),
        lowSum.set(
          f64.add(
            lowSum.get,
            f64.mul(
              w.get,
              f64.sub(f64.add(w.get, double(h.get)), f64.mul(f64.const(2), f64.load(i32.add(counts.get, own.get)))),
            ),
          ),
        ),
        f64.store(i32.add(high.get, own.get), f64.add(h.get, w.get)),
        highWeight.set(f64.add(highWeight.get, w.get)),
        lowWeight.set(f64.sub(total.get, highWeight.get)),
        product.set(f64.mul(highWeight.get, lowWeight.get)),
        gain.set(f64.add(f64.mul(highSum.get, lowWeight.get), f64.mul(lowSum.get, highWeight.get))),
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
        f64.store(i32.add(high.get, i32.shl(i32.load(word(classes, place)), i32.const(3))), f64.const(0)),
        k.step(1),
      ),
      when(i32.ge(code.get, zero), [f64.store(zero, best.get, at.gain), i32.store(zero, code.get, at.code)]),
      i32.ge(code.get, zero),
    ]
  },
})

const numbered = { collect: 0, collectRows: 1, sortFew: 2, sortMany: 3, sweepGini: 4, sort: 5, judge: 6 }

const sort = assembleFunction({
  params: { m: 'i32' },
  locals: {},
  body: ({ m }) => [
    when(i32.le(m.get, i32.const(shortList)), [call(numbered.sortFew, m.get)], [call(numbered.sortMany, m.get)]),
  ],
})

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
      when(varies.get, [when(call(numbered.sweepGini, m.get), [i32.store(i32.const(0), column.get, at.column)])]),
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
      varying.set(i32.add(varying.get, call(numbered.judge, column.get, call(numbered.collect, codes.get)))),
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
          call(numbered.judge, column.get, call(numbered.collectRows, i32.load(word(columns, column)), rows.get)),
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
  assembleModule(
    new Map(Object.entries({ collect, collectRows, sortFew, sortMany, sweepGini, sort, judge, search, searchRows })),
  )

import { assembleFunction, call, type Expr, i8x16, i32, i32x4, type Local, v128, when, whileLoop } from './assembler.js'

/*
 * The rows of a node in one column, sorted by their codes, in WebAssembly: nothing checks the bounds of arrays and
 * nothing has to warm up. Rows of code 0 (the zeros of an embedding) are left out.
 */

/** Bits of an entry that hold the row's place in its node; its code lies above. */
export const placeBits = 20
export const placeMask = 2 ** placeBits - 1
/** Lists of at most this length are sorted by counting for every entry how many are larger. */
const shortList = 16

/**
 * Where things lie behind the address that all functions are given, `base`, in bytes. Pointers are bytes of the whole
 * memory.
 */
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
  /**
   * Pointers to the arrays below; `[n]` class (i32) and weight (f64) of every place; `[classes]` f64 weight of the
   * node, and 0.
   */
  classes: 48,
  weights: 52,
  counts: 56,
  high: 60,
  /** Pointer to space for `n` and 4 entries, and twice as much for sorting. */
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

/** The address of an i32 or f64 in an array. */
export const word = (array: Local, index: Local): Expr => i32.add(array.get, i32.shl(index.get, i32.const(2)))
export const long = (array: Local, index: Local): Expr => i32.add(array.get, i32.shl(index.get, i32.const(3)))
/** A word whose first `n` bits, fewer than 32, are set. */
export const firstBits = (n: Expr): Expr => i32.sub(i32.shl(i32.const(1), n), i32.const(1))
export const codeOf = (entry: Expr): Expr => i32.shrU(entry, i32.const(placeBits))

/** Entries of a column's rows with a code above 0, from their codes one after the other; their number. */
const collect = assembleFunction({
  params: { base: 'i32', codes: 'i32' },
  locals: { n: 'i32', first: 'i32', mask: 'i32', place: 'i32', to: 'i32' },
  result: 'i32',
  body: ({ base, codes, n, first, mask, place, to }) => [
    n.set(i32.load(base.get, at.n)),
    to.set(i32.load(base.get, at.entries)),
    whileLoop(
      i32.lt(first.get, n.get),
      mask.set(i8x16.mask(i8x16.ne(v128.load(i32.add(codes.get, first.get)), v128.zero))),
      when(i32.lt(i32.sub(n.get, first.get), i32.const(16)), [
        mask.set(i32.and(mask.get, firstBits(i32.sub(n.get, first.get)))),
      ]),
      whileLoop(
        mask.get,
        place.set(i32.add(first.get, i32.ctz(mask.get))),
        mask.set(i32.and(mask.get, i32.sub(mask.get, i32.const(1)))),
        i32.store(to.get, i32.or(i32.shl(i32.load8(i32.add(codes.get, place.get)), i32.const(placeBits)), place.get)),
        to.step(4),
      ),
      first.step(16),
    ),
    i32.shrU(i32.sub(to.get, i32.load(base.get, at.entries)), i32.const(2)),
  ],
})

/** Sorts few entries, largest first, with a 0 at the end. Entries are all different. */
const sortFew = assembleFunction({
  params: { base: 'i32', m: 'i32' },
  locals: { entries: 'i32', sorted: 'i32', ranks: 'i32', i: 'i32', j: 'i32', end: 'i32', four: 'v128', rank: 'v128' },
  body: ({ base, entries, m, sorted, ranks, i, j, end, four, rank }) => [
    entries.set(i32.load(base.get, at.entries)),
    sorted.set(i32.load(base.get, at.sorted)),
    ranks.set(i32.load(base.get, at.before)),
    end.set(word(entries, m)),
    v128.store(end.get, v128.zero),
    i.set(entries.get),
    // A list may lie across 2 GiB, where an address changes its sign.
    whileLoop(
      i32.lt(i32.sub(i.get, end.get), i32.const(0)),
      four.set(v128.load(i.get)),
      rank.set(v128.zero),
      j.set(entries.get),
      whileLoop(
        i32.ne(j.get, end.get),
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

/**
 * Sorts entries by their code, largest first, with a 0 at the end: a chain of entries for every code, then one chain
 * after the other.
 */
const sortMany = assembleFunction({
  params: { base: 'i32', m: 'i32' },
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
  body: ({ base, entries, m, before, k, code, bits, to, group, chain, bit }) => {
    const ofGroup = word(base, group)
    const latest = word(base, code)
    return [
      entries.set(i32.load(base.get, at.entries)),
      before.set(i32.load(base.get, at.before)),
      whileLoop(
        i32.lt(k.get, m.get),
        code.set(codeOf(i32.load(word(entries, k)))),
        group.set(i32.shrU(code.get, i32.const(5))),
        bits.set(i32.load(ofGroup, at.present)),
        // -1 ends a chain; its bits are all set.
        i32.store(
          word(before, k),
          i32.or(
            i32.load(latest, at.latest),
            i32.sub(i32.and(i32.shrU(bits.get, i32.and(code.get, i32.const(31))), i32.const(1)), i32.const(1)),
          ),
        ),
        i32.store(latest, k.get, at.latest),
        i32.store(ofGroup, i32.or(bits.get, i32.shl(i32.const(1), i32.and(code.get, i32.const(31)))), at.present),
        k.step(1),
      ),
      to.set(i32.load(base.get, at.sorted)),
      group.set(i32.const(7)),
      whileLoop(
        i32.ge(group.get, i32.const(0)),
        bits.set(i32.load(ofGroup, at.present)),
        i32.store(ofGroup, i32.const(0), at.present),
        whileLoop(
          bits.get,
          bit.set(i32.sub(i32.const(31), i32.clz(bits.get))),
          bits.set(i32.xor(bits.get, i32.shl(i32.const(1), bit.get))),
          code.set(i32.add(i32.shl(group.get, i32.const(5)), bit.get)),
          chain.set(i32.load(latest, at.latest)),
          whileLoop(
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

/** The functions that sort, numbered from `first` on, and their numbers. */
export function sortingFrom(first: number) {
  const numbers = { collect: first, sortFew: first + 1, sortMany: first + 2, sort: first + 3 }
  /** Sorts `m` entries, largest first, with a 0 at the end. */
  const sort = assembleFunction({
    params: { base: 'i32', m: 'i32' },
    locals: {},
    body: ({ base, m }) => [
      when(
        i32.le(m.get, i32.const(shortList)),
        [call(numbers.sortFew, base.get, m.get)],
        [call(numbers.sortMany, base.get, m.get)],
      ),
    ],
  })
  return { numbers, functions: { collect, sortFew, sortMany, sort } }
}

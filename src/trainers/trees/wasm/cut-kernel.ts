import {
  assembleFunction,
  call,
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
import { judged, moveRow } from './gini.js'
import { word } from './sorting.js'

/*
 * The judge of extra-trees in WebAssembly: of each column one cut, drawn uniformly between the smallest and the largest bin of the
 * node's rows; and what brings the bins together before it. cut-grow.ts grows trees with them.
 */

/** Where things lie in a thread's part of the memory, in bytes. Pointers are bytes of the whole memory. */
export const cutAt = {
  /** f64 of the node: the best gain so far, its weight, its sum of squares or of x·log x, and a gain that no cut exceeds. */
  gain: 0,
  total: 8,
  sum: 16,
  limit: 24,
  /** f64: least weight of a side. */
  minWeight: 32,
  /** i32 of the node: its best cut's column and the code up to which rows go left; its rows and how many classes they have. */
  feature: 40,
  code: 44,
  n: 48,
  kinds: 52,
  /** i32: fewest rows of a side, whether entropy is asked and not gini, deepest level, columns tried at a node, all columns. */
  minRows: 56,
  entropy: 60,
  maxDepth: 64,
  tried: 68,
  cols: 72,
  /** Pointers to class (i32) and weight (f64) of the node's first row. */
  classes: 76,
  weights: 80,
  /** Pointers to the weight of every class in the node and above the cut (f64, all 0 between nodes), and to its classes, times 8. */
  counts: 84,
  high: 88,
  present: 92,
  /** Pointer to room for the codes of the best column, by place. */
  best: 96,
  /** Pointers to all columns, those drawn at the node first (i32), and to the words they were drawn by. */
  columns: 100,
  words: 104,
  /** Pointers to what the tree's rows are, in its order: where their codes lie (see `block`), class (i32), weight (f64). */
  places: 108,
  allClasses: 112,
  allWeights: 116,
  /** Pointers to room for as many. */
  sparePlaces: 120,
  spareClasses: 124,
  spareWeights: 128,
  /** Pointer to room for gathered codes, and its bytes. */
  batch: 132,
  batchBytes: 136,
  /**
   * Pointer to room for all codes of some rows, and for how many. The tree's rows from `blockFrom` to `blockEnd` have theirs there:
   * their place is the address. The place of another row is its number.
   */
  block: 140,
  blockRows: 144,
  blockFrom: 148,
  blockEnd: 152,
  /** Codes column by column and row by row, see CutRoom. */
  columnsAt: 156,
  rowsAt: 160,
  rowBytes: 164,
  rows: 168,
  /** Pointer to what each column has gained (f64). */
  importance: 172,
  /**
   * Pointers to what the tree's nodes are (i32): column of the cut or −1, the node's largest code on the left and 256 times its
   * smallest one on the right, or the leaf's only class (−1 if there are more), left child (the right one follows it), first row,
   * rows, level; and to room for the nodes still to be split.
   */
  nodeFeature: 176,
  nodeCode: 180,
  nodeLeft: 184,
  nodeFrom: 188,
  nodeRows: 192,
  nodeDepth: 196,
  stack: 200,
  /** Four words: the state of the random numbers. */
  random: 208,
  /** 16 bytes of 0 and 16 of 255. */
  tail: 224,
  arrays: 256,
} as const

/** x·log2 x, the only function that is imported. */
export const xlogx = (x: Expr): Expr => call(0, x)

export const zero = i32.const(0)
export const one = i32.const(1)
/** The least or the largest byte of a vector, put into all of it. */
export const ofAll = (vector: Local, two: (a: Expr, b: Expr) => Expr): Expr[] => [
  ...[8, 4, 2, 1].map((by) => vector.set(two(vector.get, i8x16.turned(by, vector.get)))),
]

/** Four codes as a word; they lie at the sums of `first` and each of four words at `others`. */
const fourCodes = (codes: readonly Expr[]): Expr =>
  codes.map((code, k) => (k ? i32.shl(code, i32.const(8 * k)) : code)).reduce((a, b) => i32.or(a, b))

/**
 * Gathers the codes of `n` rows in `width` columns to `to`, those of a column every `stride` bytes; up to three more rows are read and
 * written. Rows lie at `places`, or where these are numbers the codes do column by column from `start` on, `rows` of them each.
 */
const gatherParams = {
  places: 'i32',
  n: 'i32',
  columns: 'i32',
  width: 'i32',
  to: 'i32',
  stride: 'i32',
  start: 'i32',
  rows: 'i32',
} as const

/** Rows after rows, for a few rows that lie together: what one column after another reads stays in a core's cache. */
export const gatherRows = assembleFunction({
  params: gatherParams,
  locals: { d: 'i32', k: 'i32', a: 'i32', b: 'i32', c: 'i32', e: 'i32', at: 'i32', column: 'i32' },
  body: ({ places, n, columns, width, to, stride, d, k, a, b, c, e, at, column }) => [
    whilst(
      i32.lt(k.get, n.get),
      ...[a, b, c, e].map((row, j) => row.set(i32.load(word(places, k), 4 * j))),
      at.set(i32.add(to.get, k.get)),
      d.set(zero),
      whilst(
        i32.lt(d.get, width.get),
        column.set(i32.load(word(columns, d))),
        i32.store(at.get, fourCodes([a, b, c, e].map((row) => i32.load8(i32.add(row.get, column.get))))),
        at.set(i32.add(at.get, stride.get)),
        d.step(1),
      ),
      k.step(4),
    ),
  ],
})

/** Columns after columns, for many rows: those of a node are in ascending order. */
export const gatherColumns = assembleFunction({
  params: gatherParams,
  locals: { d: 'i32', k: 'i32', first: 'i32' },
  body: ({ places, n, columns, width, to, stride, start, rows, d, k, first }) => [
    whilst(
      i32.lt(d.get, width.get),
      first.set(i32.add(start.get, i32.mul(i32.load(word(columns, d)), rows.get))),
      k.set(zero),
      whilst(
        i32.lt(k.get, n.get),
        i32.store(
          i32.add(to.get, k.get),
          fourCodes([0, 1, 2, 3].map((j) => i32.load8(i32.add(i32.load(word(places, k), 4 * j), first.get)))),
        ),
        k.step(4),
      ),
      to.set(i32.add(to.get, stride.get)),
      d.step(1),
    ),
  ],
})

/**
 * Judges `width` columns of the node's rows, whose codes begin every `stride` bytes at `codes`, with a random word for each at `words`.
 * Keeps the codes of one that is better; stops at one that none exceeds. Returns how many of those looked at vary in the node.
 *
 * @param base where the thread's part begins
 * @param columns the columns' numbers
 */
export const judge = assembleFunction({
  params: { base: 'i32', codes: 'i32', stride: 'i32', width: 'i32', words: 'i32', columns: 'i32' },
  locals: {
    n: 'i32',
    kinds: 'i32',
    present: 'i32',
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
    const { base, codes, stride, width, words, columns, n, kinds, present, classes, weights, counts, high } = v
    const { column, varying, k, mask, place, own, above, low, top, code, left, least, most, some, beyond } = v
    const { h, highSum, lowSum, highWeight, lowWeight, gain, product } = v
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
    const ofKind = own.set(i32.load(word(present, k)))
    const keep = [
      f64.store(base.get, f64.div(gain.get, product.get), cutAt.gain),
      i32.store(base.get, i32.load(word(columns, column)), cutAt.feature),
      i32.store(base.get, code.get, cutAt.code),
      when(
        i32.lt(n.get, i32.const(17)),
        [v128.store(header(cutAt.best), v128.load(codes.get))],
        [copyBytes(header(cutAt.best), codes.get, n.get)],
      ),
      when(f64.ge(number(cutAt.gain), number(cutAt.limit)), [column.set(width.get)]),
    ]
    return [
      ...(
        [
          [n, 'n'],
          [kinds, 'kinds'],
          [present, 'present'],
          [classes, 'classes'],
          [weights, 'weights'],
          [counts, 'counts'],
          [high, 'high'],
        ] as const
      ).map(([local, field]) => local.set(header(cutAt[field]))),
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
                i32.mul(i32.and(i32.load(word(words, column)), i32.const(0xffff)), i32.sub(top.get, low.get)),
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
          when(header(cutAt.entropy), [
            highSum.set(f64.const(0)),
            k.set(zero),
            whilst(
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
          k.set(zero),
          whilst(i32.lt(k.get, kinds.get), ofKind, f64.store(i32.add(high.get, own.get), f64.const(0)), k.step(1)),
          when(f64.gt(gain.get, f64.mul(number(cutAt.gain), product.get)), [
            when(
              enough.reduce((a, b) => i32.and(a, b)),
              keep,
            ),
          ]),
        ]),
        codes.set(i32.add(codes.get, stride.get)),
        column.step(1),
      ),
      varying.get,
    ]
  },
})

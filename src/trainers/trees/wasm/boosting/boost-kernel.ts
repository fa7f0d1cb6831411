import {
  assembleFunction,
  assembleModule,
  call,
  type Expr,
  f64,
  f64x2,
  i32,
  type Local,
  select,
  v128,
  when,
  whileLoop,
  zero,
} from '../assembler.js'
import { at, placeMask, sortingFrom } from '../sorting.js'

/*
 * The search of a boosted tree's nodes that have few rows for the bins. A node has a list of every column: the places
 * of its rows with a code above 0, by falling code. A cut takes some of a list from its beginning to the right side.
 * Children's lists are parts of their parent's, in the same order, so nothing is sorted again; and a column with fewer
 * places than a leaf must have rows has no cut in the node or below it, and its list ends there.
 */

/** Where things lie in the memory behind what sorting uses, in bytes. */
export const boostAt = {
  /** v128 that sums begin with: 0 for the gradient and l2 for the hessian. */
  start: 2048,
  /** f64: twice l2; least hessian of a side. */
  l2: 2064,
  minHessian: 2072,
  /** i32: fewest rows of a side; entries of the right side's table after {@link BoostKernel.split}. */
  minRows: 2080,
  rightCount: 2084,
  /**
   * Pointers to gradient and hessian (two f64) of every place, to 0 or 2 for the side of a place, and to space for a
   * list.
   */
  sums: 2088,
  sides: 2092,
  scratch: 2096,
  /** Two nodes, see {@link nodeAt}. */
  left: 2112,
  right: 2176,
  arrays: 2304,
} as const

/** A node that is searched. */
export const nodeAt = {
  /**
   * f64, in and out: cuts of which the sum of gradient² / (hessian + l2) of both sides is not above this are not looked
   * at.
   */
  least: 0,
  /** f64: gradient, and hessian + 2 l2. */
  gradient: 8,
  hessian: 16,
  /** i32: rows. */
  n: 24,
  /** i32, out, where a cut was better: its column, and the code up to which rows go left. */
  column: 28,
  code: 32,
  /** f64: what the node scores without a cut, negative; out: what the best cut gains, see {@link gainOf}. */
  own: 40,
  gain: 48,
} as const

/** Added to every hessian that something is divided by, as in scikit-learn. */
export const tiny = 1e-15
/** A cut that gains less than this share of what the node scores gains nothing but rounding errors. */
export const leastGain = 2 ** -36

/** What rows score that share a leaf; `h` with l2. */
export const worthOf = (g: number, h: number): number => (g / (h + tiny)) * g
/**
 * What a cut gains, by scikit-learn's very steps: rounding then decides between cuts that are each other's mirror as it
 * does there.
 *
 * @param own minus what the node scores without a cut
 * @param h hessians with l2
 */
export const gainOf = (own: number, leftG: number, leftH: number, rightG: number, rightH: number): number =>
  own + worthOf(leftG, leftH) + worthOf(rightG, rightH)
const scoreOf = (g: Local, h: Local): Expr => f64.mul(f64.div(g.get, f64.add(h.get, f64.const(tiny))), g.get)

/** One column of a node: what it is called, its list, how long that is, and the codes by place. All i32. */
export const entryAt = { column: 0, list: 4, length: 8, codes: 12, size: 16 } as const

/** Numbers of this module's own functions, after those that sort. */
const own = { consider: 4, sweep: 5, part: 6, copy: 7 }
const sorting = sortingFrom(0)

const minBytes = i32.shl(i32.load(zero, boostAt.minRows), i32.const(1))
const sumsOf = (place: Expr): Expr => v128.load(i32.add(i32.load(zero, boostAt.sums), i32.shl(place, i32.const(4))))
const codeAt = (codes: Local, list: Local, offset = 0): Expr =>
  i32.load8(i32.add(codes.get, i32.load16(list.get, offset)))

/** Scores of a cut times the product of both sides' hessians: nothing is divided before it is better. */
const scored = (g: Expr, h: Expr, restG: Expr, restH: Expr, { add, mul }: typeof f64 | typeof f64x2): Expr =>
  add(mul(mul(g, g), restH), mul(mul(restG, restG), h))

/**
 * Takes the cut behind the place at `list` if it is allowed and better; in one column the lowest of equally good ones,
 * as in scikit-learn. `end`: of the column's list; `g`, `h`: sums up to here.
 */
const consider = assembleFunction({
  params: { g: 'f64', h: 'f64', list: 'i32', end: 'i32', codes: 'i32', node: 'i32', column: 'i32' },
  locals: { restG: 'f64', restH: 'f64', score: 'f64', next: 'i32' },
  body: ({ g, h, list, end, codes, node, column, restG, restH, score, next }) => {
    // l2 is in the sums.
    const least = f64.add(f64.load(zero, boostAt.minHessian), f64.load(zero, boostAt.start + 8))
    return [
      restG.set(f64.sub(f64.load(node.get, nodeAt.gradient), g.get)),
      restH.set(f64.sub(f64.load(node.get, nodeAt.hessian), h.get)),
      score.set(scored(g.get, h.get, restG.get, restH.get, f64)),
      when(f64.gt(score.get, f64.mul(f64.load(node.get, nodeAt.least), f64.mul(h.get, restH.get))), [
        when(i32.and(f64.ge(h.get, least), f64.ge(restH.get, least)), [
          // Behind a list come rows of code 0.
          next.set(select(zero, codeAt(codes, list, 2), i32.ge(i32.add(list.get, i32.const(2)), end.get))),
          // Rows of one bin stay together.
          when(i32.ne(next.get, codeAt(codes, list)), [
            score.set(f64.add(f64.add(f64.load(node.get, nodeAt.own), scoreOf(restG, restH)), scoreOf(g, h))),
            when(
              i32.or(
                f64.gt(score.get, f64.load(node.get, nodeAt.gain)),
                i32.and(
                  f64.ge(score.get, f64.load(node.get, nodeAt.gain)),
                  i32.eq(column.get, i32.load(node.get, nodeAt.column)),
                ),
              ),
              [
                f64.store(node.get, score.get, nodeAt.gain),
                // Others that are as good are looked at.
                f64.store(
                  node.get,
                  f64.mul(f64.sub(score.get, f64.load(node.get, nodeAt.own)), f64.const(1 - leastGain)),
                  nodeAt.least,
                ),
                i32.store(node.get, column.get, nodeAt.column),
                i32.store(node.get, next.get, nodeAt.code),
              ],
            ),
          ]),
        ]),
      ]),
    ]
  },
})

/** Looks for the node's best cut in a list of `bytes` bytes; two places at a time. */
const sweep = assembleFunction({
  params: { list: 'i32', bytes: 'i32', codes: 'i32', node: 'i32', column: 'i32' },
  locals: {
    end: 'i32',
    last: 'i32',
    first: 'i32',
    before: 'v128',
    sum: 'v128',
    g: 'v128',
    h: 'v128',
    restG: 'v128',
    restH: 'v128',
    allG: 'v128',
    allH: 'v128',
    least: 'v128',
  },
  body: (v) => {
    const { list, bytes, codes, node, column, end, last, first, before, sum, g, h, restG, restH, allG, allH, least } = v
    const considered = (of: Local, offset: number): Expr =>
      call(
        own.consider,
        f64x2.lane[0](of.get),
        f64x2.lane[1](of.get),
        i32.add(list.get, i32.const(offset)),
        end.get,
        codes.get,
        node.get,
        column.get,
      )
    return [
      end.set(i32.add(list.get, bytes.get)),
      // So many rows must be left.
      last.set(i32.sub(i32.shl(i32.load(node.get, nodeAt.n), i32.const(1)), minBytes)),
      last.set(i32.add(list.get, select(last.get, bytes.get, i32.lt(last.get, bytes.get)))),
      first.set(i32.sub(i32.add(list.get, minBytes), i32.const(2))),
      when(i32.lt(first.get, last.get), [
        sum.set(v128.load(zero, boostAt.start)),
        whileLoop(i32.lt(list.get, first.get), sum.set(f64x2.add(sum.get, sumsOf(i32.load16(list.get)))), list.step(2)),
        allG.set(v128.splatLong(node.get, nodeAt.gradient)),
        allH.set(v128.splatLong(node.get, nodeAt.hessian)),
        least.set(v128.splatLong(node.get, nodeAt.least)),
        whileLoop(
          i32.lt(list.get, last.get),
          before.set(f64x2.add(sum.get, sumsOf(i32.load16(list.get)))),
          // Behind the last place stands any other: what it says is not considered.
          sum.set(f64x2.add(before.get, sumsOf(i32.load16(list.get, 2)))),
          g.set(f64x2.firsts(before.get, sum.get)),
          h.set(f64x2.seconds(before.get, sum.get)),
          restG.set(f64x2.sub(allG.get, g.get)),
          restH.set(f64x2.sub(allH.get, h.get)),
          when(
            v128.anyTrue(
              f64x2.gt(
                scored(g.get, h.get, restG.get, restH.get, f64x2),
                f64x2.mul(least.get, f64x2.mul(h.get, restH.get)),
              ),
            ),
            [
              considered(before, 0),
              when(i32.lt(i32.add(list.get, i32.const(2)), last.get), [considered(sum, 2)]),
              least.set(v128.splatLong(node.get, nodeAt.least)),
            ],
          ),
          list.step(4),
        ),
      ]),
    ]
  },
})

/**
 * Divides a list: the left side's places go to `to`, the others to the scratch list, of which the bytes are returned.
 */
const part = assembleFunction({
  params: { list: 'i32', bytes: 'i32', to: 'i32' },
  locals: { end: 'i32', place: 'i32', right: 'i32', sides: 'i32', scratch: 'i32' },
  result: 'i32',
  body: ({ list, bytes, to, end, place, right, sides, scratch }) => [
    end.set(i32.add(list.get, bytes.get)),
    sides.set(i32.load(zero, boostAt.sides)),
    scratch.set(i32.load(zero, boostAt.scratch)),
    whileLoop(
      i32.lt(list.get, end.get),
      place.set(i32.load16(list.get)),
      // Written to both, on by one in one of them: without a branch that would be guessed wrong.
      i32.store16(i32.sub(to.get, right.get), place.get),
      i32.store16(i32.add(scratch.get, right.get), place.get),
      right.set(i32.add(right.get, i32.load8(i32.add(sides.get, place.get)))),
      list.step(2),
      to.step(2),
    ),
    right.get,
  ],
})

/** Copies the scratch list's `bytes` bytes to `to` and touches nothing behind. */
const copy = assembleFunction({
  params: { to: 'i32', bytes: 'i32' },
  locals: { from: 'i32', end: 'i32' },
  body: ({ to, bytes, from, end }) => [
    from.set(i32.load(zero, boostAt.scratch)),
    end.set(i32.add(from.get, bytes.get)),
    whileLoop(
      i32.le(i32.add(from.get, i32.const(16)), end.get),
      v128.store(to.get, v128.load(from.get)),
      from.step(16),
      to.step(16),
    ),
    whileLoop(i32.lt(from.get, end.get), i32.store16(to.get, i32.load16(from.get)), from.step(2), to.step(2)),
  ],
})

const addEntry = (table: Local, column: Expr, list: Expr, bytes: Expr, codes: Expr): Expr[] => [
  i32.store(table.get, column, entryAt.column),
  i32.store(table.get, list, entryAt.list),
  i32.store(table.get, bytes, entryAt.length),
  i32.store(table.get, codes, entryAt.codes),
  table.step(entryAt.size),
]

/**
 * Divides a node's lists between its children by the sides of its places, and searches the children. The lists move by
 * `move` bytes. A child whose table is 0 is left out. The left one's table may be the parent's. Returns the entries of
 * the left side's table.
 */
const split = assembleFunction({
  params: { table: 'i32', count: 'i32', left: 'i32', right: 'i32', move: 'i32' },
  locals: {
    end: 'i32',
    leftStart: 'i32',
    rightStart: 'i32',
    column: 'i32',
    to: 'i32',
    codes: 'i32',
    bytes: 'i32',
    rightBytes: 'i32',
  },
  result: 'i32',
  body: ({ table, count, left, right, move, end, leftStart, rightStart, column, to, codes, bytes, rightBytes }) => [
    end.set(i32.add(table.get, i32.shl(count.get, i32.const(4)))),
    leftStart.set(left.get),
    rightStart.set(right.get),
    whileLoop(
      i32.lt(table.get, end.get),
      column.set(i32.load(table.get, entryAt.column)),
      codes.set(i32.load(table.get, entryAt.codes)),
      bytes.set(i32.load(table.get, entryAt.length)),
      to.set(i32.add(i32.load(table.get, entryAt.list), move.get)),
      rightBytes.set(call(own.part, i32.load(table.get, entryAt.list), bytes.get, to.get)),
      bytes.set(i32.sub(bytes.get, rightBytes.get)),
      table.step(entryAt.size),
      when(i32.and(i32.ne(leftStart.get, zero), i32.ge(bytes.get, minBytes)), [
        ...addEntry(left, column.get, to.get, bytes.get, codes.get),
        call(own.sweep, to.get, bytes.get, codes.get, i32.const(boostAt.left), column.get),
      ]),
      when(i32.and(i32.ne(rightStart.get, zero), i32.ge(rightBytes.get, minBytes)), [
        to.set(i32.add(to.get, bytes.get)),
        call(own.copy, to.get, rightBytes.get),
        ...addEntry(right, column.get, to.get, rightBytes.get, codes.get),
        call(own.sweep, to.get, rightBytes.get, codes.get, i32.const(boostAt.right), column.get),
      ]),
    ),
    i32.store(zero, i32.shrU(i32.sub(right.get, rightStart.get), i32.const(4)), boostAt.rightCount),
    i32.shrU(i32.sub(left.get, leftStart.get), i32.const(4)),
  ],
})

/** Searches the left one of the two nodes in all columns of a table. */
const judge = assembleFunction({
  params: { table: 'i32', count: 'i32' },
  locals: { end: 'i32' },
  body: ({ table, count, end }) => [
    end.set(i32.add(table.get, i32.shl(count.get, i32.const(4)))),
    whileLoop(
      i32.lt(table.get, end.get),
      call(
        own.sweep,
        i32.load(table.get, entryAt.list),
        i32.load(table.get, entryAt.length),
        i32.load(table.get, entryAt.codes),
        i32.const(boostAt.left),
        i32.load(table.get, entryAt.column),
      ),
      table.step(entryAt.size),
    ),
  ],
})

/** Makes the list of a column at `list` from the codes of the node's places; returns its bytes. */
const list = assembleFunction({
  params: { codes: 'i32', list: 'i32' },
  locals: { m: 'i32', from: 'i32', end: 'i32' },
  result: 'i32',
  body: ({ codes, list: to, m, from, end }) => [
    m.set(call(sorting.numbers.collect, zero, codes.get)),
    when(m.get, [call(sorting.numbers.sort, zero, m.get)]),
    from.set(i32.load(zero, at.sorted)),
    end.set(i32.add(from.get, i32.shl(m.get, i32.const(2)))),
    whileLoop(
      i32.lt(from.get, end.get),
      i32.store16(to.get, i32.and(i32.load(from.get), i32.const(placeMask))),
      from.step(4),
      to.step(2),
    ),
    i32.shl(m.get, i32.const(1)),
  ],
})

export interface BoostKernel {
  list(codes: number, list: number): number
  judge(table: number, count: number): void
  split(table: number, count: number, left: number, right: number, move: number): number
}

/** The module's bytes. */
export const boostModule = (): Uint8Array<ArrayBuffer> =>
  assembleModule(new Map(Object.entries({ ...sorting.functions, consider, sweep, part, copy, judge, split, list })))

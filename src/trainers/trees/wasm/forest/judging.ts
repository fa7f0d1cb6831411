import { call, copyBytes, type Expr, f64, i32, type Local, v128, when, whileLoop, zero } from '../assembler.js'
import { long, word } from '../sorting.js'
import { forestAt } from './forest-header.js'

/* What both judges of forests' cuts have in common. */

/** x·log2 x, the only function that is imported. */
export const xlogx = (x: Expr): Expr => call(0, x)

/** What a sweep that judges cuts by gini keeps in locals: pointers, the row it is at, and the sums of both sides. */
export interface GiniLocals {
  /**
   * Pointers to class (i32) and weight (f64) of every place, and weight of every class (f64) in the node and above the
   * cut.
   */
  readonly classes: Local
  readonly weights: Local
  readonly counts: Local
  readonly high: Local
  readonly place: Local
  readonly own: Local
  readonly w: Local
  readonly h: Local
  readonly lowSum: Local
  readonly highSum: Local
  readonly highWeight: Local
  readonly lowWeight: Local
  readonly product: Local
  readonly gain: Local
}

/** Twice an expression that is a local or a constant. */
const double = (n: Expr): Expr => f64.add(n, n)

/** Moves the row at `place` to the high side: its class's weight there, and both sums of squares. */
export const moveRow = ({ classes, weights, counts, high, place, own, w, h, ...sums }: GiniLocals): Expr[] => [
  own.set(i32.shl(i32.load(word(classes, place)), i32.const(3))),
  w.set(f64.load(long(weights, place))),
  h.set(f64.load(i32.add(high.get, own.get))),
  sums.highSum.set(f64.add(sums.highSum.get, f64.mul(w.get, f64.add(double(h.get), w.get)))),
  sums.lowSum.set(
    f64.add(
      sums.lowSum.get,
      f64.mul(
        w.get,
        f64.sub(f64.add(w.get, double(h.get)), f64.mul(f64.const(2), f64.load(i32.add(counts.get, own.get)))),
      ),
    ),
  ),
  f64.store(i32.add(high.get, own.get), f64.add(h.get, w.get)),
  sums.highWeight.set(f64.add(sums.highWeight.get, w.get)),
]

/**
 * The gain of a cut here times `product`, the product of both sides' weights: nothing is divided before it is better.
 */
export const judged = (v: GiniLocals, total: Expr): Expr[] => [
  v.lowWeight.set(f64.sub(total, v.highWeight.get)),
  v.product.set(f64.mul(v.highWeight.get, v.lowWeight.get)),
  v.gain.set(f64.add(f64.mul(v.highSum.get, v.lowWeight.get), f64.mul(v.lowSum.get, v.highWeight.get))),
]

/** Forgets the weight of a place's class on the high side. */
export const forgetClass = ({ high, classes }: GiniLocals, place: Local): Expr =>
  f64.store(i32.add(high.get, i32.shl(i32.load(word(classes, place)), i32.const(3))), f64.const(0))

/** Forgets the weights of all of the node's classes on the high side; `kindList` names them. */
export const forgetKinds = ({ high }: GiniLocals, kindList: Local, kinds: Local, k: Local): Expr[] => [
  k.set(zero),
  whileLoop(
    i32.lt(k.get, kinds.get),
    f64.store(i32.add(high.get, i32.load(word(kindList, k))), f64.const(0)),
    k.step(1),
  ),
]

/**
 * What says which column is looked at, in locals: where the thread's part begins, the node's rows, and the columns of
 * this call.
 */
export interface ColumnLocals {
  readonly base: Local
  readonly n: Local
  /** Pointers to the columns' numbers and to the codes of the one looked at. */
  readonly columns: Local
  readonly codes: Local
  /** Which one is looked at, of how many. */
  readonly column: Local
  readonly width: Local
}

/** Whether both sides have rows and weight enough, `above` of the rows on the high one. */
export const enough = (
  { highWeight, lowWeight }: GiniLocals,
  { base, n }: Pick<ColumnLocals, 'base' | 'n'>,
  above: Local,
): Expr =>
  [
    i32.ge(above.get, i32.load(base.get, forestAt.minRows)),
    i32.ge(i32.sub(n.get, above.get), i32.load(base.get, forestAt.minRows)),
    f64.ge(highWeight.get, f64.load(base.get, forestAt.minWeight)),
    f64.ge(lowWeight.get, f64.load(base.get, forestAt.minWeight)),
  ].reduce((a, b) => i32.and(a, b))

/**
 * Keeps the column of a cut that is better, and its codes; goes to the end of all columns where no cut scores more.
 */
export const keepColumn = ({ base, n, columns, codes, column, width }: ColumnLocals): Expr[] => {
  const best = i32.load(base.get, forestAt.best)
  return [
    i32.store(base.get, i32.load(word(columns, column)), forestAt.column),
    when(i32.lt(n.get, i32.const(17)), [v128.store(best, v128.load(codes.get))], [copyBytes(best, codes.get, n.get)]),
    when(f64.ge(f64.load(base.get, forestAt.gain), f64.load(base.get, forestAt.limit)), [column.set(width.get)]),
  ]
}

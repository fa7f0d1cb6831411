import { assembleFunction, type Expr, i32, whileLoop, zero } from '../assembler.js'
import { word } from '../sorting.js'

/* What gathers the codes of a node's rows in some columns. */

/** Four codes as a word, the first one lowest. */
const fourCodes = (codes: readonly Expr[]): Expr =>
  codes.map((code, k) => (k ? i32.shl(code, i32.const(8 * k)) : code)).reduce((a, b) => i32.or(a, b))

/**
 * Gathers the codes of `n` rows in `width` columns to `to`, those of a column every `stride` bytes; up to three more
 * rows are read and written. `places` has where each row's codes lie, for gatherRows; for gatherColumns the rows'
 * numbers: their codes lie column by column from `start` on, `rows` in each.
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
    whileLoop(
      i32.lt(k.get, n.get),
      ...[a, b, c, e].map((row, j) => row.set(i32.load(word(places, k), 4 * j))),
      at.set(i32.add(to.get, k.get)),
      d.set(zero),
      whileLoop(
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
    whileLoop(
      i32.lt(d.get, width.get),
      first.set(i32.add(start.get, i32.mul(i32.load(word(columns, d)), rows.get))),
      k.set(zero),
      whileLoop(
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

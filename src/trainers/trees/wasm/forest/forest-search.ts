import {
  assembleFunction,
  call,
  choose,
  copyBytes,
  type Expr,
  f64,
  i32,
  one,
  select,
  when,
  whileLoop,
} from '../assembler.js'
import { word } from '../sorting.js'
import { fn } from './forest-functions.js'
import { forestAt, fromHeader, headerOf, numberOf } from './forest-header.js'

/* Finds the best cut of a forest's node: draws columns, gathers the codes of its rows in them, has them judged. */

/** Rows of a node that one vector holds: its columns are drawn a few at a time, most such nodes need no more. */
const vectorRows = 16
const fewColumns = 4

/** The lesser of two expressions. */
const least = (a: Expr, b: Expr): Expr => select(a, b, i32.lt(a, b))

/**
 * Draws the columns number `from` to `end`: those drawn lie first, without putting back (Fisher and Yates), by words of
 * sfc32.
 */
export const draw = assembleFunction({
  params: { base: 'i32', from: 'i32', end: 'i32' },
  locals: {
    columns: 'i32',
    words: 'i32',
    cols: 'i32',
    p: 'i32',
    q: 'i32',
    r: 'i32',
    s: 'i32',
    t: 'i32',
    pick: 'i32',
    held: 'i32',
  },
  body: ({ base, from, end, columns, words, cols, p, q, r, s, t, pick, held }) => {
    const state = [p, q, r, s]
    return [
      ...fromHeader({ columns, words, cols }, base, ['columns', 'words', 'cols']),
      ...state.map((local, k) => local.set(i32.load(base.get, forestAt.state + 4 * k))),
      whileLoop(
        i32.lt(from.get, end.get),
        t.set(i32.add(i32.add(p.get, q.get), s.get)),
        s.step(1),
        p.set(i32.xor(q.get, i32.shrU(q.get, i32.const(9)))),
        q.set(i32.add(r.get, i32.shl(r.get, i32.const(3)))),
        r.set(i32.add(i32.rotl(r.get, i32.const(21)), t.get)),
        // The upper bits of a word draw the column, its lower ones the cut.
        i32.store(words.get, t.get),
        words.step(4),
        pick.set(i32.add(from.get, i32.share(t.get, i32.sub(cols.get, from.get)))),
        held.set(i32.load(word(columns, pick))),
        i32.store(word(columns, pick), i32.load(word(columns, from))),
        i32.store(word(columns, from), held.get),
        from.step(1),
      ),
      ...state.map((local, k) => i32.store(base.get, local.get, forestAt.state + 4 * k)),
    ]
  },
})

/** Copies the codes of a node's rows together: all nodes below find them there. */
export const gatherBlock = assembleFunction({
  params: { base: 'i32', from: 'i32', n: 'i32' },
  locals: { places: 'i32', k: 'i32', to: 'i32', rowBytes: 'i32' },
  body: ({ base, from, n, places, k, to, rowBytes }) => {
    const header = headerOf(base)
    return [
      places.set(i32.add(header(forestAt.places), i32.shl(from.get, i32.const(2)))),
      rowBytes.set(header(forestAt.rowBytes)),
      to.set(header(forestAt.block)),
      whileLoop(
        i32.lt(k.get, n.get),
        copyBytes(
          to.get,
          i32.add(header(forestAt.rowsAt), i32.mul(i32.load(word(places, k)), rowBytes.get)),
          rowBytes.get,
        ),
        i32.store(word(places, k), to.get),
        to.set(i32.add(to.get, rowBytes.get)),
        k.step(1),
      ),
      i32.store(base.get, from.get, forestAt.blockFrom),
      i32.store(base.get, i32.add(from.get, n.get), forestAt.blockEnd),
    ]
  },
})

/** Finds the node's best cut, which is then at `column` and `code`; 0 if there is none. */
export const search = assembleFunction({
  params: { base: 'i32', from: 'i32', n: 'i32' },
  locals: {
    near: 'i32',
    places: 'i32',
    stride: 'i32',
    together: 'i32',
    drawn: 'i32',
    end: 'i32',
    useful: 'i32',
    tried: 'i32',
    cols: 'i32',
    columns: 'i32',
    batch: 'i32',
  },
  result: 'i32',
  body: ({ base, from, n, near, places, stride, together, drawn, end, useful, tried, cols, columns, batch }) => {
    const header = headerOf(base)
    const number = numberOf(base)
    const first = i32.add(columns.get, i32.shl(drawn.get, i32.const(2)))
    const gather = (by: number): Expr =>
      call(
        by,
        places.get,
        n.get,
        first,
        i32.sub(end.get, drawn.get),
        batch.get,
        stride.get,
        header(forestAt.columnsAt),
        header(forestAt.rows),
      )
    const judgeArguments = [base.get, batch.get, stride.get, i32.sub(end.get, drawn.get), header(forestAt.words), first]
    const inBlock = i32.and(
      i32.ge(from.get, header(forestAt.blockFrom)),
      i32.le(i32.add(from.get, n.get), header(forestAt.blockEnd)),
    )
    return [
      ...fromHeader({ tried, cols, columns, batch }, base, ['tried', 'cols', 'columns', 'batch']),
      places.set(i32.add(header(forestAt.places), i32.shl(from.get, i32.const(2)))),
      f64.store(base.get, f64.const(Number.NEGATIVE_INFINITY), forestAt.gain),
      near.set(i32.le(n.get, header(forestAt.blockRows))),
      when(near.get, [when(inBlock, [], [call(fn.gatherBlock, base.get, from.get, n.get)])]),
      when(
        i32.le(n.get, i32.const(vectorRows)),
        [stride.set(i32.const(vectorRows)), together.set(i32.const(fewColumns))],
        [
          // An odd number of lines of the cache, see `apart`.
          stride.set(i32.shl(i32.or(i32.shrU(i32.add(n.get, i32.const(63)), i32.const(6)), one), i32.const(6))),
          together.set(i32.divS(header(forestAt.batchBytes), stride.get)),
        ],
      ),
      end.set(one),
      whileLoop(
        end.get,
        // Only when all drawn columns were constant it draws on, one by one.
        end.set(
          select(
            least(i32.add(drawn.get, together.get), tried.get),
            i32.add(drawn.get, one),
            i32.lt(drawn.get, tried.get),
          ),
        ),
        call(fn.draw, base.get, drawn.get, end.get),
        when(near.get, [gather(fn.gatherRows)], [gather(fn.gatherColumns)]),
        useful.set(
          i32.add(
            useful.get,
            choose(
              header(forestAt.random),
              call(fn.judgeRandom, ...judgeArguments),
              call(fn.judgeBest, ...judgeArguments),
            ),
          ),
        ),
        drawn.set(end.get),
        end.set(
          i32.and(
            i32.or(i32.lt(drawn.get, tried.get), i32.and(i32.lt(useful.get, one), i32.lt(drawn.get, cols.get))),
            f64.gt(number(forestAt.limit), number(forestAt.gain)),
          ),
        ),
      ),
      f64.gt(number(forestAt.gain), f64.const(Number.NEGATIVE_INFINITY)),
    ]
  },
})

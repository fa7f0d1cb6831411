import {
  assembleFunction,
  assembleModule,
  call,
  choose,
  copyBytes,
  type Expr,
  f64,
  i8x16,
  i32,
  type Local,
  select,
  v128,
  when,
  whilst,
} from './assembler.js'
import { judgeBest, sweepEntropy, sweepGini } from './best-cut.js'
import { forestAt } from './forest-header.js'
import { gatherColumns, gatherRows } from './gather.js'
import { xlogx } from './judging.js'
import { judgeRandom, ofAll } from './random-cut.js'
import { long, sortingFrom, word } from './sorting.js'

/* Grows one tree of a forest in WebAssembly, depth first. */

/** The module's functions in their order; they are numbered behind the import. */
const order = [
  ...(['collect', 'sortFew', 'sortMany', 'sort'] as const),
  ...(['sweepGini', 'sweepEntropy', 'judgeBest', 'judgeRandom'] as const),
  ...(['gatherRows', 'gatherColumns', 'draw', 'bring', 'search', 'edge', 'part', 'grow'] as const),
]
const fn = Object.fromEntries(order.map((name, k) => [name, k + 1])) as Readonly<Record<(typeof order)[number], number>>

const zero = i32.const(0)
const one = i32.const(1)
/** Rows of a node that one vector holds: its columns are drawn a few at a time, most such nodes need no more. */
const vectorRows = 16
const fewColumns = 4
/** A cut that falls short of the limit by less than this share does so by rounding. */
const rounding = 1e-12

const headerOf =
  (base: Local) =>
  (field: number): Expr =>
    i32.load(base.get, field)
const numberOf =
  (base: Local) =>
  (field: number): Expr =>
    f64.load(base.get, field)

/** The lesser of two expressions. */
const least = (a: Expr, b: Expr): Expr => select(a, b, i32.lt(a, b))

/** Draws the columns number `from` to `end`: those drawn lie first, without putting back (Fisher and Yates), by words of sfc32. */
const draw = assembleFunction({
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
      columns.set(i32.load(base.get, forestAt.columns)),
      words.set(i32.load(base.get, forestAt.words)),
      cols.set(i32.load(base.get, forestAt.cols)),
      ...state.map((local, k) => local.set(i32.load(base.get, forestAt.state + 4 * k))),
      whilst(
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
const bring = assembleFunction({
  params: { base: 'i32', from: 'i32', n: 'i32' },
  locals: { places: 'i32', k: 'i32', to: 'i32', rowBytes: 'i32' },
  body: ({ base, from, n, places, k, to, rowBytes }) => {
    const header = headerOf(base)
    return [
      places.set(i32.add(header(forestAt.places), i32.shl(from.get, i32.const(2)))),
      rowBytes.set(header(forestAt.rowBytes)),
      to.set(header(forestAt.block)),
      whilst(
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

/** Finds the node's best cut, which is then at `feature` and `code`; 0 if there is none. */
const search = assembleFunction({
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
      tried.set(header(forestAt.tried)),
      cols.set(header(forestAt.cols)),
      columns.set(header(forestAt.columns)),
      batch.set(header(forestAt.batch)),
      places.set(i32.add(header(forestAt.places), i32.shl(from.get, i32.const(2)))),
      f64.store(base.get, f64.const(Number.NEGATIVE_INFINITY), forestAt.gain),
      near.set(i32.le(n.get, header(forestAt.blockRows))),
      when(near.get, [when(inBlock, [], [call(fn.bring, base.get, from.get, n.get)])]),
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
      whilst(
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

/** The largest code of the node's best column on the left of its cut, and 256 times the smallest one on the right. */
const edge = assembleFunction({
  params: { base: 'i32', n: 'i32' },
  locals: { best: 'i32', cut: 'v128', low: 'v128', high: 'v128', some: 'v128', beyond: 'v128' },
  result: 'i32',
  body: ({ base, n, best, cut, low, high, some, beyond }) => {
    const take = [
      low.set(i8x16.maxU(low.get, v128.andNot(some.get, v128.or(beyond.get, i8x16.gtU(some.get, cut.get))))),
      high.set(i8x16.minU(high.get, v128.or(some.get, v128.or(beyond.get, i8x16.leU(some.get, cut.get))))),
    ]
    return [
      best.set(i32.load(base.get, forestAt.best)),
      cut.set(i8x16.splat(i32.load(base.get, forestAt.code))),
      high.set(v128.load(base.get, forestAt.tail + 16)),
      whilst(i32.lt(i32.const(15), n.get), some.set(v128.load(best.get)), ...take, best.step(16), n.step(-16)),
      // What lies behind the last row in its vector is no code.
      when(n.get, [
        some.set(v128.load(best.get)),
        beyond.set(v128.load(i32.sub(base.get, n.get), forestAt.tail + 16)),
        ...take,
      ]),
      ...ofAll(low, i8x16.maxU),
      ...ofAll(high, i8x16.minU),
      i32.or(i8x16.first(low.get), i32.shl(i8x16.first(high.get), i32.const(8))),
    ]
  },
})

/** Moves the rows of the left side before the others, both in their order; returns how many they are. */
const part = assembleFunction({
  params: { base: 'i32', from: 'i32', n: 'i32' },
  locals: {
    best: 'i32',
    code: 'i32',
    k: 'i32',
    over: 'i32',
    place: 'i32',
    own: 'i32',
    w: 'f64',
    places: 'i32',
    classes: 'i32',
    weights: 'i32',
    sparePlaces: 'i32',
    spareClasses: 'i32',
    spareWeights: 'i32',
    left: 'i32',
    right: 'i32',
  },
  result: 'i32',
  body: (v) => {
    const { base, from, n, best, code, k, over, place, own, w, left, right } = v
    const { places, classes, weights, sparePlaces, spareClasses, spareWeights } = v
    const header = headerOf(base)
    const two = i32.const(2)
    return [
      best.set(header(forestAt.best)),
      code.set(header(forestAt.code)),
      places.set(i32.add(header(forestAt.places), i32.shl(from.get, two))),
      classes.set(header(forestAt.classes)),
      weights.set(header(forestAt.weights)),
      sparePlaces.set(header(forestAt.sparePlaces)),
      spareClasses.set(header(forestAt.spareClasses)),
      spareWeights.set(header(forestAt.spareWeights)),
      // Without branches on which side a row goes to: half of them would be guessed wrong.
      whilst(
        i32.lt(k.get, n.get),
        place.set(i32.load(word(places, k))),
        own.set(i32.load(word(classes, k))),
        w.set(f64.load(long(weights, k))),
        over.set(i32.lt(code.get, i32.load8(i32.add(best.get, k.get)))),
        i32.store(word(places, left), place.get),
        i32.store(word(classes, left), own.get),
        f64.store(long(weights, left), w.get),
        i32.store(word(sparePlaces, right), place.get),
        i32.store(word(spareClasses, right), own.get),
        f64.store(long(spareWeights, right), w.get),
        right.set(i32.add(right.get, over.get)),
        left.set(i32.add(left.get, i32.xor(over.get, one))),
        k.step(1),
      ),
      k.set(zero),
      whilst(
        i32.lt(k.get, right.get),
        over.set(i32.add(left.get, k.get)),
        i32.store(word(places, over), i32.load(word(sparePlaces, k))),
        i32.store(word(classes, over), i32.load(word(spareClasses, k))),
        f64.store(long(weights, over), f64.load(long(spareWeights, k))),
        k.step(1),
      ),
      left.get,
    ]
  },
})

/**
 * Grows the tree of the `n` rows at `places`. All numbers of classes are 0 before and after it; columns are in any order. Returns how
 * many nodes there are.
 */
const grow = assembleFunction({
  params: { base: 'i32', n: 'i32' },
  locals: {
    nodes: 'i32',
    stacked: 'i32',
    stack: 'i32',
    id: 'i32',
    from: 'i32',
    depth: 'i32',
    k: 'i32',
    kinds: 'i32',
    own: 'i32',
    classes: 'i32',
    weights: 'i32',
    counts: 'i32',
    kindList: 'i32',
    middle: 'i32',
    found: 'i32',
    nodeFeature: 'i32',
    nodeCode: 'i32',
    nodeLeft: 'i32',
    nodeFrom: 'i32',
    nodeRows: 'i32',
    nodeDepth: 'i32',
    w: 'f64',
    h: 'f64',
    total: 'f64',
    sum: 'f64',
    most: 'f64',
    second: 'f64',
  },
  result: 'i32',
  body: (v) => {
    const { base, n, nodes, stacked, stack, id, from, depth, k, kinds, own, classes, weights, counts, kindList } = v
    const { middle, found, nodeFeature, nodeCode, nodeLeft, nodeFrom, nodeRows, nodeDepth } = v
    const { w, h, total, sum, most, second } = v
    const header = headerOf(base)
    const number = numberOf(base)
    const overKinds = (...body: Expr[]): Expr[] => [
      k.set(zero),
      whilst(i32.lt(k.get, kinds.get), own.set(i32.add(counts.get, i32.load(word(kindList, k)))), ...body, k.step(1)),
    ]
    const countRows = [
      kinds.set(zero),
      total.set(f64.const(0)),
      sum.set(f64.const(0)),
      k.set(zero),
      whilst(
        i32.lt(k.get, n.get),
        own.set(i32.shl(i32.load(word(classes, k)), i32.const(3))),
        w.set(f64.load(long(weights, k))),
        h.set(f64.load(i32.add(counts.get, own.get))),
        when(f64.eq(h.get, f64.const(0)), [i32.store(word(kindList, kinds), own.get), kinds.step(1)]),
        sum.set(f64.add(sum.get, f64.mul(w.get, f64.add(f64.add(h.get, h.get), w.get)))),
        total.set(f64.add(total.get, w.get)),
        f64.store(i32.add(counts.get, own.get), f64.add(h.get, w.get)),
        k.step(1),
      ),
    ]
    // No side is worth more than its heaviest class, so no cut more than both together: once it is reached, nothing is left to look for.
    const limitOfGini = [
      most.set(f64.const(0)),
      second.set(f64.const(0)),
      ...overKinds(
        h.set(f64.load(own.get)),
        second.set(f64.max(second.get, f64.min(most.get, h.get))),
        most.set(f64.max(most.get, h.get)),
      ),
      f64.store(base.get, f64.mul(f64.add(most.get, second.get), f64.const(1 - rounding)), forestAt.limit),
    ]
    const sumOfEntropy = [
      sum.set(f64.const(0)),
      ...overKinds(sum.set(f64.add(sum.get, xlogx(f64.load(own.get))))),
      f64.store(base.get, f64.const(Number.POSITIVE_INFINITY), forestAt.limit),
    ]
    const addChild = (number: Expr, first: Expr, rows: Expr): Expr[] => [
      own.set(number),
      i32.store(word(nodeFrom, own), first),
      i32.store(word(nodeRows, own), rows),
      i32.store(word(nodeDepth, own), i32.add(depth.get, one)),
      i32.store(word(stack, stacked), own.get),
      stacked.step(1),
    ]
    const split = [
      own.set(i32.add(header(forestAt.importance), i32.shl(header(forestAt.column), i32.const(3)))),
      when(header(forestAt.entropy), [h.set(f64.sub(sum.get, xlogx(total.get)))], [h.set(f64.div(sum.get, total.get))]),
      f64.store(own.get, f64.add(f64.load(own.get), f64.max(f64.const(0), f64.sub(number(forestAt.gain), h.get)))),
      middle.set(call(fn.part, base.get, from.get, n.get)),
      i32.store(word(nodeFeature, id), header(forestAt.column)),
      i32.store(word(nodeCode, id), call(fn.edge, base.get, n.get)),
      i32.store(word(nodeLeft, id), nodes.get),
      ...addChild(i32.add(nodes.get, one), i32.add(from.get, middle.get), i32.sub(n.get, middle.get)),
      ...addChild(nodes.get, from.get, middle.get),
      nodes.step(2),
    ]
    const endHere = [
      i32.store(word(nodeFeature, id), i32.const(-1)),
      i32.store(word(nodeLeft, id), i32.const(-1)),
      i32.store(
        word(nodeCode, id),
        select(i32.shrU(i32.load(kindList.get), i32.const(3)), i32.const(-1), i32.lt(kinds.get, i32.const(2))),
      ),
    ]
    const setHeader = (field: number, value: Expr): Expr => i32.store(base.get, value, field)
    return [
      ...(
        [
          [counts, 'counts'],
          [kindList, 'kindList'],
          [stack, 'stack'],
          [nodeFeature, 'nodeFeature'],
          [nodeCode, 'nodeCode'],
          [nodeLeft, 'nodeLeft'],
          [nodeFrom, 'nodeFrom'],
          [nodeRows, 'nodeRows'],
          [nodeDepth, 'nodeDepth'],
        ] as const
      ).map(([local, field]) => local.set(header(forestAt[field]))),
      setHeader(forestAt.blockFrom, zero),
      setHeader(forestAt.blockEnd, zero),
      depth.set(i32.const(-1)),
      ...addChild(zero, zero, n.get),
      nodes.set(one),
      whilst(
        stacked.get,
        stacked.step(-1),
        id.set(i32.load(word(stack, stacked))),
        from.set(i32.load(word(nodeFrom, id))),
        n.set(i32.load(word(nodeRows, id))),
        depth.set(i32.load(word(nodeDepth, id))),
        classes.set(i32.add(header(forestAt.allClasses), i32.shl(from.get, i32.const(2)))),
        weights.set(i32.add(header(forestAt.allWeights), i32.shl(from.get, i32.const(3)))),
        ...countRows,
        found.set(zero),
        when(
          i32.and(
            i32.and(i32.lt(one, kinds.get), i32.lt(depth.get, header(forestAt.maxDepth))),
            i32.le(i32.shl(header(forestAt.minRows), one), n.get),
          ),
          [
            when(header(forestAt.entropy), sumOfEntropy, limitOfGini),
            f64.store(base.get, total.get, forestAt.total),
            f64.store(base.get, sum.get, forestAt.sum),
            setHeader(forestAt.n, n.get),
            setHeader(forestAt.kinds, kinds.get),
            setHeader(forestAt.classes, classes.get),
            setHeader(forestAt.weights, weights.get),
            found.set(call(fn.search, base.get, from.get, n.get)),
          ],
        ),
        when(found.get, split, endHere),
        ...overKinds(f64.store(own.get, f64.const(0))),
      ),
      nodes.get,
    ]
  },
})

/** What the module exports and its users call. */
export interface ForestKernel {
  grow(base: number, n: number): number
}

/** The module's bytes. */
export const forestModule = (): Uint8Array<ArrayBuffer> => {
  const functions = {
    ...sortingFrom(fn.collect).functions,
    ...{ sweepGini, sweepEntropy, judgeBest: judgeBest(fn), judgeRandom },
    ...{ gatherRows, gatherColumns, draw, bring, search, edge, part, grow },
  }
  return assembleModule(new Map(order.map((name) => [name, functions[name]])), { shared: true, imports: ['xlogx'] })
}

import {
  assembleFunction,
  assembleModule,
  call,
  type Expr,
  f64,
  i32,
  one,
  select,
  when,
  whileLoop,
  zero,
} from '../assembler.js'
import { long, sortingFrom, word } from '../sorting.js'
import { judgeBest, sweepEntropy, sweepGini } from './best-cut.js'
import { fn, order } from './forest-functions.js'
import { forestAt, fromHeader, headerOf, numberOf } from './forest-header.js'
import { edge, part } from './forest-part.js'
import { draw, gatherBlock, search } from './forest-search.js'
import { gatherColumns, gatherRows } from './gather.js'
import { xlogx } from './judging.js'
import { judgeRandom } from './random-cut.js'

/* Grows one tree of a forest in WebAssembly, depth first. */

/** A cut that falls short of the limit by less than this share does so by rounding. */
const rounding = 1e-12

/**
 * Grows the tree of the `n` rows at `places`. All numbers of classes are 0 before and after it; columns are in any
 * order. Returns how many nodes there are.
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
      whileLoop(
        i32.lt(k.get, kinds.get),
        own.set(i32.add(counts.get, i32.load(word(kindList, k)))),
        ...body,
        k.step(1),
      ),
    ]
    const countRows = [
      kinds.set(zero),
      total.set(f64.const(0)),
      sum.set(f64.const(0)),
      k.set(zero),
      whileLoop(
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
    // No side scores more than its heaviest class, so no cut more than both together: once it is reached, nothing is
    // left to look for.
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
      ...fromHeader(v, base, [
        'counts',
        'kindList',
        'stack',
        'nodeFeature',
        'nodeCode',
        'nodeLeft',
        'nodeFrom',
        'nodeRows',
        'nodeDepth',
      ]),
      setHeader(forestAt.blockFrom, zero),
      setHeader(forestAt.blockEnd, zero),
      depth.set(i32.const(-1)),
      ...addChild(zero, zero, n.get),
      nodes.set(one),
      whileLoop(
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
    ...{ gatherRows, gatherColumns, draw, gatherBlock, search, edge, part, grow },
  }
  return assembleModule(new Map(order.map((name) => [name, functions[name]])), { shared: true, imports: ['xlogx'] })
}

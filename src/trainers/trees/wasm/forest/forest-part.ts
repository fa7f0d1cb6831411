import { assembleFunction, f64, i8x16, i32, one, v128, when, whileLoop, zero } from '../assembler.js'
import { long, word } from '../sorting.js'
import { forestAt, fromHeader, headerOf } from './forest-header.js'
import { ofAll } from './random-cut.js'

/* Parts the rows of a forest's node by its best cut, from the codes that its judge kept. */

/** The largest code of the node's best column on the left of its cut, and 256 times the smallest one on the right. */
export const edge = assembleFunction({
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
      whileLoop(i32.lt(i32.const(15), n.get), some.set(v128.load(best.get)), ...take, best.step(16), n.step(-16)),
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
export const part = assembleFunction({
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
      ...fromHeader(v, base, ['best', 'code', 'classes', 'weights', 'sparePlaces', 'spareClasses', 'spareWeights']),
      places.set(i32.add(header(forestAt.places), i32.shl(from.get, two))),
      // Without branches on which side a row goes to: half of them would be guessed wrong.
      whileLoop(
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
      whileLoop(
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

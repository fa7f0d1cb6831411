import {
  assembleFunction,
  assembleModule,
  clearBytes,
  type Expr,
  f64,
  i32,
  type Local,
  one,
  select,
  when,
  whileLoop,
  zero,
} from '../assembler.js'
import { word } from '../sorting.js'

/* Bins of columns in WebAssembly: reads some columns together, finds their quantiles, turns their codes row by row. */

/** Most steps that the range of a column is divided into to find its quantiles. */
export const maxSteps = 4096

const half = (array: Local, index: Local): Expr => i32.add(array.get, i32.shl(index.get, one))

/**
 * Parts the values that are not zero of `width` columns from each other, with their rows: those of column j to `values`
 * and `places` from j · `rows` on, their number at `lengths`.
 *
 * @param from `[rows, stride]` float32
 */
const read = assembleFunction({
  params: {
    from: 'i32',
    stride: 'i32',
    rows: 'i32',
    width: 'i32',
    values: 'i32',
    places: 'i32',
    lengths: 'i32',
  },
  locals: { i: 'i32', j: 'i32', bits: 'i32', at: 'i32' },
  body: ({ from, stride, rows, width, values, places, lengths, i, j, bits, at }) => [
    whileLoop(i32.lt(j.get, width.get), i32.store(word(lengths, j), i32.mul(j.get, rows.get)), j.step(1)),
    whileLoop(
      i32.lt(i.get, rows.get),
      j.set(zero),
      whileLoop(
        i32.lt(j.get, width.get),
        bits.set(i32.load(word(from, j))),
        at.set(i32.load(word(lengths, j))),
        i32.store(word(values, at), bits.get),
        i32.store(word(places, at), i.get),
        // On by 1 unless the value is 0 or −0, without a branch that would be guessed wrong.
        i32.store(word(lengths, j), i32.add(at.get, i32.ne(i32.shl(bits.get, one), zero))),
        j.step(1),
      ),
      from.set(i32.add(from.get, i32.shl(stride.get, i32.const(2)))),
      i.step(1),
    ),
    j.set(zero),
    whileLoop(
      i32.lt(j.get, width.get),
      i32.store(word(lengths, j), i32.sub(i32.load(word(lengths, j)), i32.mul(j.get, rows.get))),
      j.step(1),
    ),
  ],
})

/** 1 if one of the `m` values, float32 and none of them 0, is negative. */
const anyNegative = assembleFunction({
  params: { values: 'i32', m: 'i32' },
  locals: { k: 'i32', signs: 'i32' },
  result: 'i32',
  body: ({ values, m, k, signs }) => [
    whileLoop(i32.lt(k.get, m.get), signs.set(i32.or(signs.get, i32.load(word(values, k)))), k.step(1)),
    i32.shrU(signs.get, i32.const(31)),
  ],
})

/**
 * Quantiles of `m` values from how many fall into equal steps of their range; much faster than sorting. Writes a code
 * for each value's row to `codes`. Returns 0, with nothing written, where the steps do not show that there are more
 * distinct values than bins, or are too coarse.
 *
 * @param steps space for a u16 of each value; `inStep` and `binOf` for a word of each of {@link maxSteps}
 */
const quantiles = assembleFunction({
  params: {
    values: 'i32',
    places: 'i32',
    m: 'i32',
    firstBin: 'i32',
    maxBins: 'i32',
    codes: 'i32',
    steps: 'i32',
    inStep: 'i32',
    binOf: 'i32',
  },
  locals: {
    k: 'i32',
    s: 'i32',
    size: 'i32',
    n: 'i32',
    used: 'i32',
    bin: 'i32',
    inBin: 'i32',
    left: 'i32',
    bad: 'i32',
    value: 'f64',
    low: 'f64',
    top: 'f64',
    factor: 'f64',
    wanted: 'f64',
    tooMany: 'f64',
  },
  result: 'i32',
  body: (v) => {
    const { values, places, m, firstBin, maxBins, codes, steps, inStep, binOf } = v
    const { k, s, size, n, used, bin, inBin, left, bad, value, low, top, factor, wanted, tooMany } = v
    const atValue = value.set(f64.loadFloat(word(values, k)))
    const range = [
      low.set(f64.loadFloat(values.get)),
      top.set(low.get),
      k.set(one),
      whileLoop(
        i32.lt(k.get, m.get),
        atValue,
        low.set(f64.min(low.get, value.get)),
        top.set(f64.max(top.get, value.get)),
        k.step(1),
      ),
    ]
    const count = [
      // A power of two, four times the values.
      size.set(i32.shl(one, i32.sub(i32.const(34), i32.clz(i32.sub(m.get, one))))),
      size.set(select(size.get, i32.const(maxSteps), i32.lt(size.get, i32.const(maxSteps)))),
      factor.set(f64.div(f64.sub(f64.fromInt(size.get), f64.const(0.5)), f64.sub(top.get, low.get))),
      clearBytes(inStep.get, i32.shl(size.get, i32.const(2))),
      k.set(zero),
      whileLoop(
        i32.lt(k.get, m.get),
        atValue,
        s.set(f64.truncated(f64.mul(f64.sub(value.get, low.get), factor.get))),
        i32.store16(half(steps, k), s.get),
        i32.store(word(inStep, s), i32.add(i32.load(word(inStep, s)), one)),
        k.step(1),
      ),
    ]
    const share = [
      tooMany.set(f64.max(f64.const(8), f64.div(f64.fromInt(m.get), f64.const(64)))),
      bin.set(i32.sub(firstBin.get, one)),
      left.set(m.get),
      s.set(zero),
      whileLoop(
        i32.lt(s.get, size.get),
        n.set(i32.load(word(inStep, s))),
        when(n.get, [
          bad.set(i32.or(bad.get, f64.gt(f64.fromInt(n.get), tooMany.get))),
          used.step(1),
          when(i32.or(i32.lt(bin.get, firstBin.get), f64.ge(f64.fromInt(inBin.get), wanted.get)), [
            bin.step(1),
            inBin.set(zero),
            wanted.set(f64.div(f64.fromInt(left.get), f64.fromInt(i32.sub(maxBins.get, bin.get)))),
          ]),
          i32.store(word(binOf, s), bin.get),
          inBin.set(i32.add(inBin.get, n.get)),
          left.set(i32.sub(left.get, n.get)),
        ]),
        s.step(1),
      ),
      bad.set(i32.or(bad.get, i32.le(i32.add(used.get, firstBin.get), maxBins.get))),
    ]
    const write = [
      k.set(zero),
      whileLoop(
        i32.lt(k.get, m.get),
        i32.store8(
          i32.add(codes.get, i32.load(word(places, k))),
          i32.load(i32.add(binOf.get, i32.shl(i32.load16(half(steps, k)), i32.const(2)))),
        ),
        k.step(1),
      ),
    ]
    return [
      bad.set(one),
      when(i32.lt(maxBins.get, i32.add(m.get, firstBin.get)), [
        ...range,
        when(f64.lt(low.get, top.get), [bad.set(zero), ...count, ...share]),
      ]),
      when(bad.get, [], write),
      i32.lt(bad.get, one),
    ]
  },
})

/** Least and largest value (float32) of each code, by code, of `m` values; codes without any keep what stands there. */
const bounds = assembleFunction({
  params: { values: 'i32', places: 'i32', m: 'i32', codes: 'i32', to: 'i32' },
  locals: { k: 'i32', at: 'i32', value: 'f64' },
  body: ({ values, places, m, codes, to, k, at, value }) => [
    whileLoop(
      i32.lt(k.get, m.get),
      value.set(f64.loadFloat(word(values, k))),
      at.set(i32.add(to.get, i32.shl(i32.load8(i32.add(codes.get, i32.load(word(places, k)))), i32.const(3)))),
      when(f64.lt(value.get, f64.loadFloat(at.get)), [i32.store(at.get, i32.load(word(values, k)))]),
      when(f64.gt(value.get, f64.loadFloat(at.get, 4)), [i32.store(at.get, i32.load(word(values, k)), 4)]),
      k.step(1),
    ),
  ],
})

/** Turns `[width, rows]` codes to `[rows, stride]`. */
const turn = assembleFunction({
  params: { codes: 'i32', rows: 'i32', width: 'i32', to: 'i32', stride: 'i32' },
  locals: { i: 'i32', j: 'i32', from: 'i32' },
  body: ({ codes, rows, width, to, stride, i, j, from }) => [
    whileLoop(
      i32.lt(i.get, rows.get),
      from.set(i32.add(codes.get, i.get)),
      j.set(zero),
      whileLoop(
        i32.lt(j.get, width.get),
        i32.store8(i32.add(to.get, j.get), i32.load8(from.get)),
        from.set(i32.add(from.get, rows.get)),
        j.step(1),
      ),
      to.set(i32.add(to.get, stride.get)),
      i.step(1),
    ),
  ],
})

/** What the module exports; arguments are addresses and numbers as above, in this order. */
export interface BinKernel {
  read(from: number, stride: number, rows: number, width: number, values: number, places: number, lengths: number): void
  anyNegative(values: number, m: number): number
  quantiles(
    values: number,
    places: number,
    m: number,
    firstBin: number,
    maxBins: number,
    codes: number,
    steps: number,
    inStep: number,
    binOf: number,
  ): number
  bounds(values: number, places: number, m: number, codes: number, to: number): void
  turn(codes: number, rows: number, width: number, to: number, stride: number): void
}

/** The module's bytes. */
export const binModule = (): Uint8Array<ArrayBuffer> =>
  assembleModule(
    new Map([
      ['read', read],
      ['anyNegative', anyNegative],
      ['quantiles', quantiles],
      ['bounds', bounds],
      ['turn', turn],
    ]),
  )

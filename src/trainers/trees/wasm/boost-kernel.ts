import {
  assembleFunction,
  assembleModule,
  type Expr,
  f64,
  i8x16,
  i32,
  type Local,
  v128,
  when,
  whilst,
} from './assembler.js'

/*
 * The search of a boosted tree's node that has few rows for its bins: a histogram of one column at a time that stays in the first
 * cache, of which only the bins in use are looked at. Rows of code 0 are what the others leave over.
 */

/** Where things lie in the memory, in bytes. Pointers are bytes too. */
export const boostAt = {
  /** f64: best gain so far (in and out), sums of the node, and limits. */
  gain: 0,
  gradient: 8,
  hessian: 16,
  l2: 24,
  minHessian: 32,
  rows: 40,
  minRows: 48,
  /** i32, out, where a column of this call was better: which one, and the code up to which rows go left. */
  column: 56,
  code: 60,
  /** i32: rows of the node; pointers to gradient and hessian of every place. */
  n: 64,
  gradients: 68,
  hessians: 72,
  /** i32: codes present in a column, a bit each. */
  present: 96,
  /** Gradient, hessian and rows of every code, f64. */
  bins: 128,
  arrays: 128 + 256 * 24 + 128,
} as const

const zero = i32.const(0)
const address = (array: Local, index: Local): Expr => i32.add(array.get, i32.shl(index.get, i32.const(3)))
const square = (value: Expr): Expr => f64.mul(value, value)

/** Looks for the best cut of `width` columns whose codes begin every `stride` bytes, filled up to 16 with 0. */
const search = assembleFunction({
  params: { codes: 'i32', stride: 'i32', width: 'i32' },
  locals: {
    n: 'i32',
    gradients: 'i32',
    hessians: 'i32',
    column: 'i32',
    first: 'i32',
    mask: 'i32',
    place: 'i32',
    code: 'i32',
    bin: 'i32',
    group: 'i32',
    ofGroup: 'i32',
    bits: 'i32',
    bit: 'i32',
    sumG: 'f64',
    sumH: 'f64',
    count: 'f64',
    restG: 'f64',
    restH: 'f64',
    d: 'f64',
    restD: 'f64',
    score: 'f64',
    product: 'f64',
    whole: 'f64',
    least: 'f64',
  },
  body: (v) => {
    const { codes, stride, width, n, gradients, hessians, column, first, mask, place, code, bin } = v
    const { group, ofGroup, bits, bit, sumG, sumH, count, restG, restH, d, restD, score, product, whole, least } = v
    const binOf = (own: Expr): Expr => i32.add(i32.const(boostAt.bins), i32.mul(own, i32.const(24)))
    const groupOf = (own: Expr): Expr => i32.add(i32.const(boostAt.present), i32.shl(own, i32.const(2)))
    const node = (field: number): Expr => f64.load(zero, field)
    const addTo = (sum: Local, field: number): Expr => sum.set(f64.add(sum.get, f64.load(bin.get, field)))
    const enough = [
      f64.ge(count.get, node(boostAt.minRows)),
      f64.ge(f64.sub(node(boostAt.rows), count.get), node(boostAt.minRows)),
      f64.ge(sumH.get, node(boostAt.minHessian)),
      f64.ge(restH.get, node(boostAt.minHessian)),
    ]
    return [
      n.set(i32.load(zero, boostAt.n)),
      gradients.set(i32.load(zero, boostAt.gradients)),
      hessians.set(i32.load(zero, boostAt.hessians)),
      whole.set(f64.div(square(node(boostAt.gradient)), f64.add(node(boostAt.hessian), node(boostAt.l2)))),
      least.set(f64.add(node(boostAt.gain), whole.get)),
      whilst(
        i32.lt(column.get, width.get),
        first.set(zero),
        whilst(
          i32.lt(first.get, n.get),
          mask.set(i8x16.mask(i8x16.ne(v128.load(i32.add(codes.get, first.get)), v128.zero))),
          whilst(
            mask.get,
            place.set(i32.add(first.get, i32.ctz(mask.get))),
            mask.set(i32.and(mask.get, i32.sub(mask.get, i32.const(1)))),
            code.set(i32.load8(i32.add(codes.get, place.get))),
            bin.set(binOf(code.get)),
            f64.store(bin.get, f64.add(f64.load(bin.get), f64.load(address(gradients, place)))),
            f64.store(bin.get, f64.add(f64.load(bin.get, 8), f64.load(address(hessians, place))), 8),
            f64.store(bin.get, f64.add(f64.load(bin.get, 16), f64.const(1)), 16),
            ofGroup.set(groupOf(i32.shrU(code.get, i32.const(5)))),
            i32.store(
              ofGroup.get,
              i32.or(i32.load(ofGroup.get), i32.shl(i32.const(1), i32.and(code.get, i32.const(31)))),
            ),
          ),
          first.step(16),
        ),
        sumG.set(f64.const(0)),
        sumH.set(f64.const(0)),
        count.set(f64.const(0)),
        group.set(i32.const(7)),
        whilst(
          i32.ge(group.get, zero),
          ofGroup.set(groupOf(group.get)),
          bits.set(i32.load(ofGroup.get)),
          i32.store(ofGroup.get, zero),
          whilst(
            bits.get,
            bit.set(i32.sub(i32.const(31), i32.clz(bits.get))),
            bits.set(i32.xor(bits.get, i32.shl(i32.const(1), bit.get))),
            code.set(i32.add(i32.shl(group.get, i32.const(5)), bit.get)),
            bin.set(binOf(code.get)),
            addTo(sumG, 0),
            addTo(sumH, 8),
            addTo(count, 16),
            ...[0, 8, 16].map((field) => f64.store(bin.get, f64.const(0), field)),
            restG.set(f64.sub(node(boostAt.gradient), sumG.get)),
            restH.set(f64.sub(node(boostAt.hessian), sumH.get)),
            d.set(f64.add(sumH.get, node(boostAt.l2))),
            restD.set(f64.add(restH.get, node(boostAt.l2))),
            product.set(f64.mul(d.get, restD.get)),
            score.set(f64.add(f64.mul(square(sumG.get), restD.get), f64.mul(square(restG.get), d.get))),
            // What is seldom true comes first, and nothing is divided before.
            when(f64.gt(score.get, f64.mul(least.get, product.get)), [
              when(
                enough.reduce((a, b) => i32.and(a, b)),
                [
                  least.set(f64.div(score.get, product.get)),
                  i32.store(zero, column.get, boostAt.column),
                  i32.store(zero, i32.sub(code.get, i32.const(1)), boostAt.code),
                ],
              ),
            ]),
          ),
          group.step(-1),
        ),
        codes.set(i32.add(codes.get, stride.get)),
        column.step(1),
      ),
      f64.store(zero, f64.sub(least.get, whole.get), boostAt.gain),
    ]
  },
})

export interface BoostKernel {
  search(codes: number, stride: number, width: number): void
}

/** Codes gathered at a time. */
const batchBytes = 2 ** 16

let compiled: WebAssembly.Module | undefined

/** The kernel and the memory it works on, for nodes of at most `rows` rows. */
export class BoostArena {
  readonly kernel: BoostKernel
  readonly bytes: Uint8Array
  readonly words: Int32Array
  readonly doubles: Float64Array
  /** Gradient and hessian of the node's rows, by place. */
  readonly gradients: Float64Array
  readonly hessians: Float64Array
  readonly batch: { readonly start: number; readonly length: number }

  constructor(readonly rows: number) {
    const room = Math.ceil(rows / 2) * 16 + 16
    const start = boostAt.arrays + 2 * room
    const length = Math.max(batchBytes, rows + 16)
    const memory = new WebAssembly.Memory({ initial: Math.ceil((start + length + 16) / 65_536) })
    const { buffer } = memory
    this.bytes = new Uint8Array(buffer)
    this.words = new Int32Array(buffer, 0, boostAt.arrays / 4)
    this.doubles = new Float64Array(buffer, 0, boostAt.arrays / 8)
    this.gradients = new Float64Array(buffer, boostAt.arrays, rows)
    this.hessians = new Float64Array(buffer, boostAt.arrays + room, rows)
    this.batch = { start, length }
    this.words[boostAt.gradients / 4] = boostAt.arrays
    this.words[boostAt.hessians / 4] = boostAt.arrays + room
    compiled ??= new WebAssembly.Module(assembleModule(new Map([['search', search]])))
    this.kernel = new WebAssembly.Instance(compiled, { env: { memory } }).exports as BoostKernel
  }
}

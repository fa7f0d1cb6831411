import { ascii, functionType, signed, sized, unsigned, wasmModule } from '../../../base/wasm-encoding.js'

/**
 * As much of WebAssembly's binary format (core specification 2.0, chapter 5) as the trees' inner loops need. An
 * expression is its bytes: `i32.add(a, b)` is the bytes of a, those of b, then the opcode, so code reads as nested
 * calls.
 */
export type Expr = readonly number[]
export type ValueType = 'i32' | 'f64' | 'v128'

const typeByte: Readonly<Record<ValueType, number>> = { i32: 0x7f, f64: 0x7c, v128: 0x7b }
/** The type of a block without a result. */
const noResult = 0x40

/** An instruction whose operands come before it. */
const op =
  (...code: number[]) =>
  (...operands: Expr[]): Expr => [...operands.flat(), ...code]
const simd = (code: number, ...rest: number[]) => op(0xfd, ...unsigned(code), ...rest)
/**
 * A load or store: the address, for a store the value, and a constant added to the address. No alignment is promised.
 */
const load =
  (...code: number[]) =>
  (address: Expr, offset = 0): Expr => [...address, ...code, 0, ...unsigned(offset)]
const store =
  (...code: number[]) =>
  (address: Expr, value: Expr, offset = 0): Expr => [...address, ...value, ...code, 0, ...unsigned(offset)]

export const i32 = {
  const: (n: number): Expr => [0x41, ...signed(n)],
  load: load(0x28),
  load8: load(0x2d),
  load16: load(0x2f),
  store: store(0x36),
  store8: store(0x3a),
  store16: store(0x3b),
  eq: op(0x46),
  ne: op(0x47),
  lt: op(0x48),
  le: op(0x4c),
  ge: op(0x4e),
  clz: op(0x67),
  ctz: op(0x68),
  add: op(0x6a),
  sub: op(0x6b),
  mul: op(0x6c),
  divS: op(0x6d),
  and: op(0x71),
  or: op(0x72),
  xor: op(0x73),
  shl: op(0x74),
  shrU: op(0x76),
  rotl: op(0x77),
  /** The upper word of the product of two words without signs: a part of `b`, as `a` is of 2³². */
  share: (a: Expr, b: Expr): Expr => [...a, 0xad, ...b, 0xad, 0x7e, 0x42, ...signed(32), 0x88, 0xa7],
}

export const zero = i32.const(0)
export const one = i32.const(1)

export const f64 = {
  const: (n: number): Expr => [0x44, ...new Uint8Array(Float64Array.of(n).buffer)],
  load: load(0x2b),
  store: store(0x39),
  eq: op(0x61),
  gt: op(0x64),
  ge: op(0x66),
  min: op(0xa4),
  max: op(0xa5),
  lt: op(0x63),
  add: op(0xa0),
  sub: op(0xa1),
  mul: op(0xa2),
  div: op(0xa3),
  /** From a float32 in memory, from and to a whole number with a sign; what does not fit into one traps. */
  loadFloat: (address: Expr, offset = 0): Expr => [...address, 0x2a, 0, ...unsigned(offset), 0xbb],
  fromInt: op(0xb7),
  truncated: op(0xaa),
}

export const v128 = {
  load: load(0xfd, 0),
  store: store(0xfd, 11),
  zero: [0xfd, 12, ...new Array<number>(16).fill(0)] as Expr,
  splatWord: load(0xfd, 9),
  splatLong: load(0xfd, 10),
  andNot: simd(79),
  or: simd(80),
  anyTrue: simd(83),
}
export const i8x16 = {
  splat: simd(15),
  ne: simd(36),
  gtU: simd(40),
  leU: simd(42),
  mask: simd(100),
  minU: simd(119),
  maxU: simd(121),
  /** The first byte, and the vector turned by some bytes. */
  first: simd(22, 0),
  turned: (by: number, vector: Expr): Expr =>
    simd(13, ...Array.from({ length: 16 }, (_, k) => (k + by) % 16))(vector, vector),
}
export const i32x4 = { gt: simd(59), sub: simd(177) }
const bytesOfLane = (lane: number): number[] => Array.from({ length: 8 }, (_, k) => lane * 8 + k)
export const f64x2 = {
  gt: simd(74),
  add: simd(240),
  sub: simd(241),
  mul: simd(242),
  lane: [simd(33, 0), simd(33, 1)] as const,
  /** The first numbers of two vectors, and the second ones. */
  firsts: simd(13, ...bytesOfLane(0), ...bytesOfLane(2)),
  seconds: simd(13, ...bytesOfLane(1), ...bytesOfLane(3)),
}

/** Fills `n` bytes with 0. */
export const clearBytes = (to: Expr, n: Expr): Expr => [...to, ...i32.const(0), ...n, 0xfc, 11, 0]
/** Copies `n` bytes. */
export const copyBytes = (to: Expr, from: Expr, n: Expr): Expr => [...to, ...from, ...n, 0xfc, 10, 0, 0]

/** A local variable of a function. */
export interface Local {
  readonly get: Expr
  set(value: Expr): Expr
  /** Adds a constant. */
  step(by: number): Expr
}

/** The first of two values where the condition is not 0. */
export const select = (a: Expr, b: Expr, condition: Expr): Expr => [...a, ...b, ...condition, 0x1b]
export const call = (fn: number, ...operands: Expr[]): Expr => [...operands.flat(), 0x10, ...unsigned(fn)]
export const when = (condition: Expr, then: Expr[], otherwise?: Expr[]): Expr => [
  ...condition,
  0x04,
  noResult,
  ...then.flat(),
  ...(otherwise ? [0x05, ...otherwise.flat()] : []),
  0x0b,
]
/** One of two whole numbers, of which only that one is found. */
export const choose = (condition: Expr, then: Expr, otherwise: Expr): Expr => [
  ...condition,
  0x04,
  typeByte.i32,
  ...then,
  0x05,
  ...otherwise,
  0x0b,
]
/** Repeats the body as long as the condition, asked before each turn, is not 0. */
export const whileLoop = (condition: Expr, ...body: Expr[]): Expr =>
  when(condition, [[0x03, noResult, ...body.flat(), ...condition, 0x0d, 0, 0x0b]])

export interface FunctionSpec<P extends string, L extends string> {
  /** Names and types of the parameters, in order. */
  readonly params: Readonly<Record<P, ValueType>>
  readonly locals: Readonly<Record<L, ValueType>>
  readonly result?: ValueType | undefined
  /** Statements; the last one leaves the result. */
  body(local: Readonly<Record<P | L, Local>>): Expr[]
}

export interface AssembledFunction {
  readonly params: readonly ValueType[]
  readonly result: ValueType | undefined
  readonly code: Expr
}

export function assembleFunction<P extends string, L extends string>(spec: FunctionSpec<P, L>): AssembledFunction {
  const params = Object.values<ValueType>(spec.params)
  const locals = Object.values<ValueType>(spec.locals)
  const entries = [...Object.keys(spec.params), ...Object.keys(spec.locals)].map((name, index) => {
    const get = [0x20, ...unsigned(index)]
    const set = (value: Expr): Expr => [...value, 0x21, ...unsigned(index)]
    return [name, { get, set, step: (by: number) => set(i32.add(get, i32.const(by))) }] as const
  })
  const body = spec.body(Object.fromEntries(entries) as unknown as Record<P | L, Local>).flat()
  const declared = locals.flatMap((type) => [1, typeByte[type]])
  return { params, result: spec.result, code: [...unsigned(locals.length), ...declared, ...body, 0x0b] }
}

/** Most pages of a memory that can be: 4 GiB. */
export const maxPages = 2 ** 16

/**
 * A module that imports the memory `env.memory` and exports `functions` under their names; they are numbered in this
 * order from 0, or behind what is imported.
 *
 * @param options.shared whether threads share the memory, which then must state a maximum of {@link maxPages} or less
 * @param options.imports functions of JavaScript from one f64 to another, by their names in `env`
 */
export function assembleModule(
  functions: ReadonlyMap<string, AssembledFunction>,
  {
    shared = false,
    imports = [],
  }: { readonly shared?: boolean | undefined; readonly imports?: readonly string[] | undefined } = {},
): Uint8Array<ArrayBuffer> {
  const all = [...functions.values()]
  const bytesOf = (types: readonly ValueType[]): number[] => types.map((type) => typeByte[type])
  const limits = shared ? [0x03, 0x01, ...unsigned(maxPages)] : [0x00, 0x01]
  const imported = imports.map((name) => [...ascii('env'), ...ascii(name), 0x00, ...unsigned(all.length)])
  return wasmModule([
    [
      1,
      [
        ...all.map(({ params, result }) => functionType(bytesOf(params), bytesOf(result ? [result] : []))),
        functionType(bytesOf(['f64']), bytesOf(['f64'])),
      ],
    ],
    [2, [[...ascii('env'), ...ascii('memory'), 0x02, ...limits], ...imported]],
    [3, all.map((_, k) => unsigned(k))],
    [7, [...functions.keys()].map((key, k) => [...ascii(key), 0x00, ...unsigned(imports.length + k)])],
    [10, all.map(({ code }) => sized(code))],
  ])
}

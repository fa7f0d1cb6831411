import { ascii, functionType, signed, sized, unsigned, wasmModule } from '../../base/wasm-encoding.js'

/**
 * Just enough of an assembler to write a small WebAssembly module with SIMD in readable lines: each helper returns the
 * bytes of one instruction. The encoding is that of the WebAssembly core specification, version 2.
 */

export type Code = readonly number[]

const simd = (opcode: number): number[] => [0xfd, ...unsigned(opcode)]
const memory = (align: number, offset: number): number[] => [align, ...unsigned(offset)]

export const wasm = {
  const: (value: number): Code => [0x41, ...signed(value)],
  get: (local: number): Code => [0x20, local],
  set: (local: number): Code => [0x21, local],
  add: [0x6a] as Code,
  sub: [0x6b] as Code,
  mul: [0x6c] as Code,
  ltSigned: [0x48] as Code,
  load: (offset = 0): Code => [0x28, ...memory(2, offset)],
  /** local = local + constant */
  step: (local: number, by: number): Code => [0x20, local, 0x41, ...signed(by), 0x6a, 0x21, local],
  /** local = local + other local */
  stepBy: (local: number, other: number): Code => [0x20, local, 0x20, other, 0x6a, 0x21, local],
  /** Runs the body while the local, lowered by 1 after each turn, is not 0. It must not be 0 at the start. */
  repeat: (local: number, ...body: Code[]): Code => [
    0x03,
    0x40,
    ...body.flat(),
    ...[0x20, local, 0x41, 1, 0x6b, 0x22, local],
    0x0d,
    0,
    0x0b,
  ],
  /** Runs the body while `condition` leaves something other than 0, tested after each turn. */
  repeatWhile: (condition: Code, ...body: Code[]): Code => [0x03, 0x40, ...body.flat(), ...condition, 0x0d, 0, 0x0b],

  load16Bytes: (offset = 0): Code => [...simd(0x00), ...memory(0, offset)],
  load32Splat: (offset = 0): Code => [...simd(0x09), ...memory(2, offset)],
  load32Zero: (offset = 0): Code => [...simd(0x5c), ...memory(0, offset)],
  store16Bytes: (offset = 0): Code => [...simd(0x0b), ...memory(0, offset)],
  store32Lane0: (offset = 0): Code => [...simd(0x5a), ...memory(0, offset), 0],
  i32x4Splat: simd(0x11) as Code,
  i16x8FromLowBytes: simd(0x89) as Code,
  i16x8FromHighBytes: simd(0x8a) as Code,
  i32x4FromLowWords: simd(0xa9) as Code,
  i32x4FromHighWords: simd(0xaa) as Code,
  i16x8NarrowSigned: simd(0x85) as Code,
  i8x16NarrowUnsigned: simd(0x66) as Code,
  i32x4ShiftRightSigned: simd(0xac) as Code,
  i32x4Add: simd(0xae) as Code,
  i32x4Mul: simd(0xb5) as Code,
} as const

const i32 = 0x7f
const v128 = 0x7b

export interface WasmFunction {
  readonly name: string
  /** Number of i32 parameters; locals are numbered after them, i32 ones first. */
  readonly parameters: number
  readonly i32Locals: number
  readonly v128Locals: number
  readonly body: readonly Code[]
}

/** A module of functions without results that share one exported memory named `memory`. */
export function assemble(functions: readonly WasmFunction[]): Uint8Array<ArrayBuffer> {
  return wasmModule([
    [1, functions.map((f) => functionType(new Array<number>(f.parameters).fill(i32), []))],
    [3, functions.map((_, index) => [index])],
    [5, [[0, 1]]],
    [7, [[...ascii('memory'), 2, 0], ...functions.map((f, index) => [...ascii(f.name), 0, index])]],
    [10, functions.map((f) => sized([2, f.i32Locals, i32, f.v128Locals, v128, ...f.body.flat(), 0x0b]))],
  ])
}

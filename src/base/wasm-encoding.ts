/**
 * The parts of WebAssembly's binary format (core specification 2.0, chapter 5) that every module is made of: numbers,
 * vectors and sections. The assemblers of images/ and trainers/trees/ say what is in them.
 */

/** LEB128, unsigned. */
export function unsigned(value: number): number[] {
  const bytes: number[] = []
  let rest = value >>> 0
  do {
    const low = rest & 0x7f
    rest >>>= 7
    bytes.push(rest ? low | 0x80 : low)
  } while (rest)
  return bytes
}

/** LEB128, signed. */
export function signed(value: number): number[] {
  const bytes: number[] = []
  let rest = value | 0
  for (;;) {
    const low = rest & 0x7f
    rest >>= 7
    if ((rest === 0 && !(low & 0x40)) || (rest === -1 && low & 0x40)) return [...bytes, low]
    bytes.push(low | 0x80)
  }
}

const vector = (items: readonly (readonly number[])[]): number[] => [...unsigned(items.length), ...items.flat()]

/** A name of ASCII letters, its length before it. */
export const ascii = (text: string): number[] => [text.length, ...[...text].map((letter) => letter.charCodeAt(0))]

/** The type of a function from some value types to others. */
export const functionType = (parameters: readonly number[], results: readonly number[]): number[] => [
  0x60,
  ...unsigned(parameters.length),
  ...parameters,
  ...unsigned(results.length),
  ...results,
]

/** A function's code: its locals and instructions, with their length before them. */
export const sized = (code: readonly number[]): number[] => [...unsigned(code.length), ...code]

/** The sections by their numbers, each a vector of its entries, in ascending order. */
export function wasmModule(
  sections: readonly (readonly [id: number, entries: readonly (readonly number[])[]])[],
): Uint8Array<ArrayBuffer> {
  const all = sections.flatMap(([id, entries]) => [id, ...sized(vector(entries))])
  return new Uint8Array([0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...all])
}

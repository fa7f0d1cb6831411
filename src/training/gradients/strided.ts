import type { GraphBuilder } from '../../onnx/build.js'
import { product, reshape } from './arithmetic.js'
import type { Window } from './window.js'

// Every s-th value of a row is picked, or spread, by a product with zeros and ones: onnxruntime's strided Slice and its
// transposed convolution go value by value on one thread. Nothing is rounded: every sum has one term that is not zero.

/**
 * Splits planes into the phases of a window's stride, `s·s` planes that hold every s-th value of every s-th row.
 *
 * @param lead the axes before the plane; `size` the plane with the padding that the window needs
 * @returns what a tap reads, `[...lead, oh, ow]`, by the place it begins at; undefined where the strides are not equal,
 * or 1
 */
export function phases(
  g: GraphBuilder,
  x: string,
  window: Window,
  { lead, size }: { readonly lead: readonly number[]; readonly size: readonly [number, number] },
): ((from: readonly [number, number]) => string) | undefined {
  const [s, other] = window.strides
  if (s === 1 || s !== other) return undefined
  const [rows, columns] = size.map((n) => Math.ceil(n / s)) as [number, number]
  // Rounded up to whole phases.
  const end = [rows * s - window.input[0] - window.begin[0], columns * s - window.input[1] - window.begin[1]] as const
  const pads = [...lead.map(() => 0), ...window.begin, ...lead.map(() => 0), ...end]
  const whole = pads.every((n) => n === 0) ? x : g.add('Pad', [x, g.ints(pads)])
  const [wide, out] = [s * s * columns, s * s * columns]
  const pick = new Float32Array(wide * out)
  for (let r = 0; r < s; r++)
    for (let c = 0; c < s; c++)
      for (let i = 0; i < columns; i++) pick[(r * columns * s + i * s + c) * out + (r * s + c) * columns + i] = 1
  const matrix = g.initializer(g.fresh('pick'), 'float32', [wide, out], pick)
  const picked = g.add('MatMul', [reshape(g, whole, [product(lead) * rows, wide]), matrix])
  const split = reshape(g, picked, [...lead, rows, out])
  const axes = [lead.length, lead.length + 1]
  return (from) => {
    const [row, column] = from.map((n) => Math.floor(n / s)) as [number, number]
    const left = ((from[0] % s) * s + (from[1] % s)) * columns + column
    const until = [row + window.output[0], left + window.output[1]]
    return g.add('Slice', [split, g.ints([row, left]), g.ints(until), g.ints(axes)])
  }
}

/** Puts planes `[…, oh, ow]` into planes of zeros `[…, s·oh, s·ow]`, at every s-th place of every s-th row. */
export function spreadOut(g: GraphBuilder, x: string, shape: readonly number[], s: number): string {
  const [oh, ow] = shape.slice(-2) as [number, number]
  const wide = s * s * ow
  const place = new Float32Array(ow * wide)
  for (let i = 0; i < ow; i++) place[i * wide + i * s] = 1
  const matrix = g.initializer(g.fresh('spread'), 'float32', [ow, wide], place)
  const lead = shape.slice(0, -2)
  return reshape(g, g.add('MatMul', [reshape(g, x, [product(lead) * oh, ow]), matrix]), [...lead, s * oh, s * ow])
}

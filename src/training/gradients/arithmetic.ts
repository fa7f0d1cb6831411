import type { GraphBuilder } from '../../onnx/build.js'

/** The sum of tensors of one shape, in pairs: onnxruntime's Sum runs on one thread, its Add on all. */
export function addAll(g: GraphBuilder, [first, ...rest]: readonly string[]): string {
  return rest.reduce((sum, next) => g.add('Add', [sum, next]), first!)
}

/** A static reshape. */
export function reshape(g: GraphBuilder, x: string, shape: readonly number[]): string {
  return g.add('Reshape', [x, g.ints(shape)])
}

/** Sum over axes; they are dropped unless `keep`. */
export function reduceSum(g: GraphBuilder, x: string, axes: readonly number[], keep = false): string {
  return g.add('ReduceSum', [x, g.ints(axes)], { keepdims: keep ? 1 : 0 })
}

/** x · y with optional transposition of the last two axes and a factor: one kernel of onnxruntime. */
export function matmul(
  g: GraphBuilder,
  x: string,
  y: string,
  options: {
    readonly transA?: boolean | undefined
    readonly transB?: boolean | undefined
    readonly alpha?: number | undefined
  } = {},
): string {
  return g.add(
    'FusedMatMul',
    [x, y],
    { transA: options.transA ? 1 : 0, transB: options.transB ? 1 : 0, alpha: { float: options.alpha ?? 1 } },
    { domain: 'com.microsoft' },
  )
}

/** Undoes broadcasting: sums a gradient of shape `from` down to `to`. */
export function sumTo(g: GraphBuilder, gradient: string, from: readonly number[], to: readonly number[]): string {
  const lead = from.length - to.length
  const axes = from.map((_, axis) => axis).filter((axis) => axis < lead || (to[axis - lead] === 1 && from[axis] !== 1))
  if (axes.length === 0) return gradient
  const sum = reduceSum(g, gradient, axes, true)
  return lead > 0 ? reshape(g, sum, to) : sum
}

/** A per-channel vector `[C]` in the shape that broadcasts over `[N, C, …]`. */
export function perChannel(g: GraphBuilder, vector: string, channels: number, rank: number): string {
  return reshape(g, vector, [1, channels, ...Array.from({ length: rank - 2 }, () => 1)])
}

/** A bool tensor as 0 and 1. */
export function toFloat(g: GraphBuilder, condition: string): string {
  return g.add('Cast', [condition], { to: 1 })
}

/** Every axis but the channels. */
export function exceptChannels(rank: number): number[] {
  return [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2)]
}

export function product(shape: readonly number[]): number {
  return shape.reduce((total, n) => total * n, 1)
}

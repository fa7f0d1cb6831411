import { encodeModel, GraphBuilder } from '../../onnx/build.js'
import { loadOrt, type Session } from '../../runtime/ort.js'
import { openSession } from '../../runtime/session.js'
import type { Matrix } from '../contract.js'
import { gemm, pickRows, squaredNorms } from '../linalg/gemm.js'

/** A kernel as libsvm writes it, u and v being rows. */
export interface Kernel {
  /** rbf: exp(−γ‖u − v‖²); poly: (γ u·v + coef0)^degree; linear: u·v; cosine: u·v / (‖u‖ ‖v‖). */
  readonly kind: 'rbf' | 'poly' | 'linear' | 'cosine'
  readonly gamma: number
  readonly coef0: number
  /** A whole number: the power is a chain of products. */
  readonly degree: number
}

/** Rows made ready for a kernel: a product of two of them is all that it still needs, and for rbf their lengths. */
export interface KernelRows {
  readonly x: Matrix
  /** `[rows]`, −½‖row‖² of the prepared rows; empty unless rbf. */
  readonly half: Float32Array
}

/**
 * Rows scaled (by √γ, or to unit length) and for rbf centred, in the given order, copied. Centring changes no distance
 * but keeps float32 from cancelling when features are large and nearly constant; both sides of a kernel need the same
 * centre.
 */
export function kernelRows(x: Matrix, kernel: Kernel, centre: Float64Array, order?: Int32Array): KernelRows {
  const { cols } = x
  const rows = order?.length ?? x.rows
  const data = new Float32Array(rows * cols)
  const half = new Float32Array(kernel.kind === 'rbf' ? rows : 0)
  const scale =
    kernel.kind === 'rbf' ? Math.sqrt(2 * kernel.gamma) : kernel.kind === 'poly' ? Math.sqrt(kernel.gamma) : 1
  for (let i = 0, at = 0; i < rows; i++) {
    const from = (order ? order[i]! : i) * cols
    if (kernel.kind === 'rbf') {
      let square = 0
      for (let j = 0; j < cols; j++, at++) {
        const v = Math.fround(scale * (x.data[from + j]! - centre[j]!))
        data[at] = v
        square += v * v
      }
      half[i] = -square / 2
    } else if (kernel.kind === 'cosine') {
      let square = 0
      for (let j = 0; j < cols; j++) square += x.data[from + j]! * x.data[from + j]!
      const factor = square > 0 ? 1 / Math.sqrt(square) : 0
      for (let j = 0; j < cols; j++, at++) data[at] = factor * x.data[from + j]!
    } else {
      for (let j = 0; j < cols; j++, at++) data[at] = scale * x.data[from + j]!
    }
  }
  return { x: { data, rows, cols }, half }
}

/** Mean of every column, in float64. */
export function columnMeans(x: Matrix): Float64Array {
  const mean = new Float64Array(x.cols)
  for (let i = 0, at = 0; i < x.rows; i++) for (let j = 0; j < x.cols; j++, at++) mean[j]! += x.data[at]!
  for (let j = 0; j < x.cols; j++) mean[j]! /= Math.max(1, x.rows)
  return mean
}

/** γ = 1 / (columns × variance of all entries), scikit-learn's `scale`; 1 where nothing varies. */
export function gammaScale(x: Matrix): number {
  const { data } = x
  let mean = 0
  for (let i = 0; i < data.length; i++) mean += data[i]!
  mean /= data.length
  let square = 0
  for (let i = 0; i < data.length; i++) square += (data[i]! - mean) ** 2
  const variance = square / data.length
  return variance > 0 ? 1 / (x.cols * variance) : 1
}

/** Rows `from` to `to` (exclusive) as a view. */
export const kernelSlice = ({ x, half }: KernelRows, from: number, to: number): KernelRows => ({
  x: { data: x.data.subarray(from * x.cols, to * x.cols), rows: to - from, cols: x.cols },
  half: half.subarray(from, to),
})

/** The given rows, copied. */
export function pickKernelRows({ x, half }: KernelRows, rows: Int32Array): KernelRows {
  return { x: pickRows(x, rows), half: half.length > 0 ? Float32Array.from(rows, (i) => half[i]!) : half }
}

/** Kernel of every row with itself. */
export function kernelDiagonal({ x, half }: KernelRows, kernel: Kernel): Float64Array {
  if (half.length > 0) return new Float64Array(x.rows).fill(1)
  const squares = squaredNorms(x)
  return kernel.kind === 'poly' ? squares.map((s) => (s + kernel.coef0) ** kernel.degree) : squares
}

const sessions = new Map<string, Promise<Session>>()

/** The products of two sets of rows and what the kernel makes of them, in one graph. */
function open(kernel: Kernel, threads: number): Promise<Session> {
  const { kind } = kernel
  const key = kind === 'rbf' ? `rbf/${threads}` : `poly/${kernel.degree}/${kernel.coef0}/${threads}`
  let session = sessions.get(key)
  if (!session) {
    const graph = new GraphBuilder('kernel')
    graph.input('a', 'float32', ['m', 'k'])
    graph.input('b', 'float32', ['n', 'k'])
    const dots = graph.add('FusedMatMul', ['a', 'b'], { transA: 0, transB: 1 }, { domain: 'com.microsoft' })
    let last: string
    if (kind === 'rbf') {
      graph.input('a_half', 'float32', ['m', 1])
      graph.input('b_half', 'float32', [1, 'n'])
      const shifted = graph.add('Add', [graph.add('Add', [dots, 'b_half']), 'a_half'])
      last = graph.add('Exp', [graph.add('Min', [shifted, graph.floats(0)])])
    } else {
      const base = graph.add('Add', [dots, graph.floats(kernel.coef0)])
      last = base
      for (let power = 1; power < kernel.degree; power++) last = graph.add('Mul', [last, base])
    }
    graph.add('Identity', [last], {}, { outputs: ['c'] })
    graph.output('c', 'float32', ['m', 'n'])
    session = openSession(encodeModel(graph.model(17, { 'com.microsoft': 1 })), { threads, spinning: false })
    sessions.set(key, session)
  }
  return session
}

/** Kernel of every row of `a` with every row of `b`, `[a.rows, b.rows]`, in float32 by onnxruntime. */
export async function kernelBlock(
  a: KernelRows,
  b: KernelRows,
  kernel: Kernel,
  threads: number,
): Promise<Float32Array> {
  if (kernel.kind === 'linear' || kernel.kind === 'cosine')
    return (await gemm(a.x, b.x, { transB: true, threads })).data
  const session = await open(kernel, threads)
  const { Tensor } = loadOrt()
  const out = await session.run({
    a: new Tensor('float32', a.x.data, [a.x.rows, a.x.cols]),
    b: new Tensor('float32', b.x.data, [b.x.rows, b.x.cols]),
    ...(kernel.kind === 'rbf'
      ? {
          a_half: new Tensor('float32', a.half, [a.x.rows, 1]),
          b_half: new Tensor('float32', b.half, [1, b.x.rows]),
        }
      : {}),
  })
  return out.c!.data as Float32Array
}

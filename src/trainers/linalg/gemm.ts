import { encodeModel, GraphBuilder } from '../../onnx/build.js'
import { loadOrt, type Session } from '../../runtime/ort.js'
import { openSession } from '../../runtime/session.js'
import type { Matrix } from '../contract.js'

export interface GemmOptions {
  readonly transA?: boolean | undefined
  readonly transB?: boolean | undefined
  readonly threads?: number | undefined
}

/**
 * What a solver's steps leave behind until the collector comes for it: onnxruntime's results and the solver's own
 * arrays.
 *
 * @param ofStep bytes that a step allocates
 */
export const uncollectedBytes = (ofStep: number): number => Math.min(48e6, 64 * ofStep)

const sessions = new Map<string, Promise<Session>>()

function open(transA: boolean, transB: boolean, threads: number): Promise<Session> {
  const key = `${transA}/${transB}/${threads}`
  let session = sessions.get(key)
  if (!session) {
    const graph = new GraphBuilder('gemm')
    graph.input('a', 'float32', ['p', 'q'])
    graph.input('b', 'float32', ['r', 's'])
    graph.add(
      'FusedMatMul',
      ['a', 'b'],
      { transA: transA ? 1 : 0, transB: transB ? 1 : 0 },
      { domain: 'com.microsoft', outputs: ['c'] },
    )
    graph.output('c', 'float32', ['m', 'n'])
    session = openSession(encodeModel(graph.model(17, { 'com.microsoft': 1 })), { threads, spinning: false })
    sessions.set(key, session)
  }
  return session
}

/**
 * The same numbers in memory that onnxruntime accepts: shared memory is copied once, ordinary memory is returned as it
 * is.
 */
export function ordinary(x: Matrix): Matrix {
  return x.data.buffer instanceof ArrayBuffer ? x : { ...x, data: Float32Array.from(x.data) }
}

/**
 * op(A)·op(B) in float32 by onnxruntime, which blocks the calling thread. Small sessions, one per transposition and
 * thread count, are kept for the life of the process or worker.
 *
 * @param a `[m, k]`, or `[k, m]` with `transA`
 * @param b `[k, n]`, or `[n, k]` with `transB`
 * @returns `[m, n]` in fresh memory
 */
export async function gemm(a: Matrix, b: Matrix, options: GemmOptions = {}): Promise<Matrix> {
  const { transA = false, transB = false, threads = 1 } = options
  const [m, k] = transA ? [a.cols, a.rows] : [a.rows, a.cols]
  const [k2, n] = transB ? [b.cols, b.rows] : [b.rows, b.cols]
  if (k !== k2) throw new RangeError(`gemm: ${m}x${k} times ${k2}x${n}`)
  const session = await open(transA, transB, threads)
  const { Tensor } = loadOrt()
  const out = await session.run({
    a: new Tensor('float32', ordinary(a).data, [a.rows, a.cols]),
    b: new Tensor('float32', ordinary(b).data, [b.rows, b.cols]),
  })
  return { data: out.c!.data as Float32Array, rows: m!, cols: n! }
}

/** Rows `from` (inclusive) to `to` (exclusive), as a view. */
export function rowsOf(x: Matrix, from: number, to: number): Matrix {
  return { data: x.data.subarray(from * x.cols, to * x.cols), rows: to - from, cols: x.cols }
}

/** The given rows, copied. */
export function pickRows(x: Matrix, rows: ArrayLike<number>): Matrix {
  const data = new Float32Array(rows.length * x.cols)
  for (let i = 0; i < rows.length; i++)
    data.set(x.data.subarray(rows[i]! * x.cols, (rows[i]! + 1) * x.cols), i * x.cols)
  return { data, rows: rows.length, cols: x.cols }
}

/** Squared Euclidean length of every row. */
export function squaredNorms(x: Matrix): Float64Array {
  const norms = new Float64Array(x.rows)
  for (let i = 0, at = 0; i < x.rows; i++) {
    let sum = 0
    for (let j = 0; j < x.cols; j++, at++) sum += x.data[at]! * x.data[at]!
    norms[i] = sum
  }
  return norms
}

/** Rows minus `mean`, copied. */
export function centred(x: Matrix, mean: ArrayLike<number>): Matrix {
  const out = new Float32Array(x.data.length)
  for (let i = 0, at = 0; i < x.rows; i++) for (let j = 0; j < x.cols; j++, at++) out[at] = x.data[at]! - mean[j]!
  return { data: out, rows: x.rows, cols: x.cols }
}

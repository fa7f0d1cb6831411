import type { OnnxWriter } from '../../onnx/classifier-writer.js'
import type { Matrix } from '../contract.js'

/** Stored rows with what they vote for. */
export interface StoredRows {
  readonly x: Matrix
  readonly y: Int32Array
  /** `[rows]` */
  readonly weights: ArrayLike<number>
  /** `[rows]`, squared lengths. */
  readonly norms: ArrayLike<number>
  readonly classes: number
  readonly k: number
  readonly vote: 'uniform' | 'distance'
}

/**
 * Adds the votes of the k nearest rows. Products are float32 by the same GEMM, distances float64, ties go to the
 * earlier row: the same neighbours as knn.ts finds.
 */
export function neighboursOnnx(g: OnnxWriter, x: string, stored: StoredRows): string {
  const { x: rows, classes, k } = stored
  const table = g.weights('rows', [rows.rows, rows.cols], rows.data)
  const zeros = g.weights('zeros', [rows.rows], new Float32Array(rows.rows))
  const dots = g.cast(g.add('Gemm', [x, table, zeros], { transB: 1 }), 'float64')
  const norms = g.doubles(stored.norms)
  const partial = g.add('Sub', [norms, g.add('Mul', [dots, g.doubles(2)])])
  const [far, near] = g.smallest(partial, k)
  const weightTable = g.doubles(stored.weights)
  let votes = g.add('Gather', [weightTable, near], { axis: 0 })
  if (stored.vote === 'distance') {
    const wide = g.cast(x, 'float64')
    const own = g.sum(g.add('Mul', [wide, wide]), 1)
    const squared = g.add('Relu', [g.add('Add', [own, far])])
    const floor = g.add('Mul', [g.add('Add', [own, g.doubles(1)]), g.doubles(1e-12)])
    votes = g.add('Div', [votes, g.add('Sqrt', [g.add('Add', [squared, floor])])])
  }
  // [N, k, classes]: each neighbour's class as ones and zeros, times its vote, summed.
  const labels = g.initializer(g.fresh('labels'), 'int64', [stored.y.length], BigInt64Array.from(stored.y, BigInt))
  const own = g.reshape(g.add('Gather', [labels, near], { axis: 0 }), [0, k, 1])
  const all = g.initializer(
    g.fresh('classes'),
    'int64',
    [1, 1, classes],
    BigInt64Array.from({ length: classes }, (_, c) => BigInt(c)),
  )
  const hits = g.cast(g.add('Equal', [own, all]), 'float64')
  const sums = g.reshape(g.sum(g.add('Mul', [hits, g.reshape(votes, [0, k, 1])]), 1), [0, classes])
  return g.cast(g.add('Div', [sums, g.sum(sums, 1)]), 'float32')
}

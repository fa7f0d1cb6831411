import { throwIfAborted } from '../base/errors.js'
import type { Matrix } from './contract.js'
import type { DcdOptions } from './dcd.js'
import { gemm } from './gemm.js'

/** Largest number of rows whose Gram matrix (float32) is held: a quarter of a gigabyte. */
const maxGramRows = 8192

/** Of narrow rows one is read sooner than a row of the Gram matrix. */
export function gramPays(rows: number, cols: number): boolean {
  return rows <= maxGramRows && rows <= 4 * cols
}

/** Steps between two looks at the duality gap. */
const stepsPerCheck = 256

/**
 * The hinge loss's dual, ½βᵀ(K + 1)β − Σ yβ with 0 ≤ yβ ≤ cost, one column against the rest at a time, by coordinate descent on
 * the Gram matrix: every step takes the row whose move gains most, and costs one pass over a row of the matrix. Stops on the duality
 * gap, which bounds the distance from the best objective.
 *
 * @returns as dualCoordinateDescent does; `iterations` counts passes of as many steps as there are rows
 */
export async function hingeOnGram(
  x: Matrix,
  y: Int32Array,
  cost: Float64Array,
  columns: number,
  options: Omit<DcdOptions, 'loss' | 'seed'> & { readonly threads: number },
): Promise<{ weights: Float32Array; bias: Float64Array; objective: number; iterations: number }> {
  const { rows } = x
  const { threads } = options
  const gram = (await gemm(x, x, { transB: true, threads })).data
  const combination = new Float32Array(columns * rows)
  const bias = new Float64Array(columns)
  let objective = 0
  let iterations = 0
  for (let k = 0; k < columns; k++) {
    const positive = columns === 1 ? 1 : k
    const sign = Float64Array.from(y, (label) => (label === positive ? 1 : -1))
    const found = oneColumn(gram, sign, cost, options)
    combination.set(found.beta, k * rows)
    bias[k] = found.beta.reduce((sum, b) => sum + b, 0)
    objective += found.objective
    iterations = Math.max(iterations, Math.ceil(found.steps / rows))
    options.onProgress?.((k + 1) / columns)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { data } = await gemm({ data: combination, rows: columns, cols: rows }, x, { threads })
  return { weights: data, bias, objective, iterations }
}

function oneColumn(
  gram: Float32Array,
  sign: Float64Array,
  cost: Float64Array,
  { tolerance, maxIterations, signal }: Omit<DcdOptions, 'loss' | 'seed'>,
): { beta: Float64Array; objective: number; steps: number } {
  const n = sign.length
  const alpha = new Float64Array(n)
  const margin = new Float64Array(n)
  const diagonal = Float64Array.from({ length: n }, (_, i) => gram[i * n + i]! + 1)
  const primalAndDual = (): [number, number] => {
    let square = 0
    let loss = 0
    let sum = 0
    for (let i = 0; i < n; i++) {
      square += sign[i]! * alpha[i]! * margin[i]!
      loss += cost[i]! * Math.max(0, 1 - sign[i]! * margin[i]!)
      sum += alpha[i]!
    }
    return [0.5 * square + loss, sum - 0.5 * square]
  }
  let steps = 0
  // Every first step is as good as any other: the first row's.
  let chosen = 0
  let most = 1
  for (; steps < maxIterations * n && most > 0; steps++) {
    if (steps % stepsPerCheck === 0) {
      throwIfAborted(signal, 'Training')
      const [primal, dual] = primalAndDual()
      if (primal - dual <= tolerance * primal) break
    }
    const before = alpha[chosen]!
    const slope = 1 - sign[chosen]! * margin[chosen]!
    const after = Math.min(Math.max(before + slope / diagonal[chosen]!, 0), cost[chosen]!)
    alpha[chosen] = after
    const change = (after - before) * sign[chosen]!
    const row = chosen * n
    most = 0
    for (let j = 0; j < n; j++) {
      const m = margin[j]! + change * (gram[row + j]! + 1)
      margin[j] = m
      const g = 1 - sign[j]! * m
      const a = alpha[j]!
      const room = g > 0 ? cost[j]! - a : a
      if (room <= 0) continue
      const size = Math.abs(g)
      const step = Math.min(size / diagonal[j]!, room)
      const gain = step * (size - 0.5 * step * diagonal[j]!)
      if (gain > most) {
        most = gain
        chosen = j
      }
    }
  }
  return { beta: alpha.map((a, i) => a * sign[i]!), objective: primalAndDual()[0], steps }
}

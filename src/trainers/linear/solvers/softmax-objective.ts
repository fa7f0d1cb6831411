import { encodeModel, GraphBuilder } from '../../../onnx/build.js'
import { loadOrt, type Session } from '../../../runtime/ort.js'
import { openSession } from '../../../runtime/session.js'
import type { Matrix } from '../../contract.js'
import { gemm, uncollectedBytes } from '../../linalg/gemm.js'
import { spectrumBytes } from './memory.js'
import { leadingSpectrum, Preconditioner } from './preconditioner.js'
import type { Metric } from './quasi-newton.js'
import type { SmoothObjective } from './smooth-solver.js'

/** Most bytes of one tensor of scores: more rows are worked through in blocks. A run holds about four of them. */
const scoreBytes = 64 << 20

/**
 * What a fit by passes holds: five points in float64, twelve remembered steps and changes and three copies in float32,
 * the blocks of scores inside onnxruntime, labels and costs, and the sample of the spectrum.
 */
export const passesBytes = (rows: number, cols: number, classes: number): number =>
  (5 * 8 + 12 * 4 + 3 * 4) * classes * cols +
  4 * Math.min(scoreBytes, 4 * rows * classes) +
  24 * rows +
  spectrumBytes(rows, cols) +
  uncollectedBytes(16 * classes * cols)

/**
 * One pass over rows: scores, log-softmax, the label's share of it, the loss's gradient by weight and by bias, and for
 * every class the sum of the second derivatives by its score. Only sums leave onnxruntime; scores never do.
 */
function passGraph(): Uint8Array {
  const g = new GraphBuilder('softmax-pass')
  g.input('x', 'float32', ['rows', 'cols'])
  g.input('weights', 'float32', ['classes', 'cols'])
  g.input('bias', 'float32', ['classes'])
  g.input('label', 'int64', ['rows', 1])
  g.input('cost', 'float32', ['rows', 1])
  const matMul = (inputs: string[], transposed: { transA?: 1; transB?: 1 }, output?: string): string =>
    g.add('FusedMatMul', inputs, transposed, { domain: 'com.microsoft', ...(output ? { outputs: [output] } : {}) })
  const scores = g.add('Add', [matMul(['x', 'weights'], { transB: 1 }), 'bias'])
  const logShares = g.add('LogSoftmax', [scores], { axis: 1 })
  g.add('GatherElements', [logShares, 'label'], { axis: 1 }, { outputs: ['own'] })
  const shares = g.add('Exp', [logShares])
  const spread = g.add('Sub', [shares, g.add('Mul', [shares, shares])])
  matMul(['cost', spread], { transA: 1 }, 'curvature')
  const minusOne = g.floats(-1)
  const wrong = g.add('Add', [g.add('GatherElements', [shares, 'label'], { axis: 1 }), minusOne])
  const residual = g.add('ScatterElements', [shares, 'label', wrong], { axis: 1 })
  matMul(['cost', residual], { transA: 1 }, 'byBias')
  matMul([g.add('Mul', [residual, 'cost']), 'x'], { transA: 1 }, 'byWeight')
  g.output('own', 'float32', ['rows', 1])
  g.output('byWeight', 'float32', ['classes', 'cols'])
  g.output('byBias', 'float32', [1, 'classes'])
  g.output('curvature', 'float32', [1, 'classes'])
  return encodeModel(g.model(17, { 'com.microsoft': 1 }))
}

const sessions = new Map<number, Promise<Session>>()

function open(threads: number): Promise<Session> {
  let session = sessions.get(threads)
  if (!session) {
    session = openSession(passGraph(), { threads, spinning: false })
    sessions.set(threads, session)
  }
  return session
}

/** A {@link SmoothObjective} whose points are `[classes, cols]` weights followed by `[classes]` biases. */
export interface SoftmaxObjective extends SmoothObjective {
  /** The biases of a point for rows that are not centred. */
  bias(point: Float64Array): Float64Array
}

/**
 * ½‖w‖² + Σ cost · −log softmax(x·w + b)[y] with a free bias, for many rows: all of an evaluation in one run of
 * onnxruntime. Columns are centred on the fly, which leaves the weights as they are and shifts the biases: embeddings
 * that are nowhere negative are badly conditioned otherwise.
 *
 * @param cost `[rows]` C times each row's weight @param blockBytes most bytes of one block of scores
 */
export async function softmaxObjective(
  x: Matrix,
  y: Int32Array,
  classes: number,
  cost: Float64Array,
  threads: number,
  blockBytes = scoreBytes,
): Promise<SoftmaxObjective> {
  const { rows, cols } = x
  const count = classes * cols
  const share = { data: new Float32Array(rows).fill(1 / rows), rows: 1, cols: rows }
  const mean = Float64Array.from((await gemm(share, x, { threads })).data)
  const spectrum = await leadingSpectrum(x, mean, threads)
  const shaper = spectrum && new Preconditioner(spectrum, classes, rows, threads)
  const session = await open(threads)
  const blocks = rowBlocks(x, y, cost, Math.max(1, Math.floor(blockBytes / (4 * classes))))
  const weights = new Float32Array(count)
  const { Tensor } = loadOrt()
  const bias = (point: Float64Array): Float64Array =>
    Float64Array.from({ length: classes }, (_, k) => {
      let shift = 0
      for (let j = 0, at = k * cols; j < cols; j++, at++) shift += point[at]! * mean[j]!
      return point[count + k]! - shift
    })

  async function evaluate(point: Float64Array, gradient: Float64Array) {
    weights.set(point.subarray(0, count))
    const parts = {
      weights: new Tensor('float32', weights, [classes, cols]),
      bias: new Tensor('float32', Float32Array.from(bias(point)), [classes]),
    }
    const curvature = new Float64Array(classes)
    gradient.set(point.subarray(0, count))
    gradient.fill(0, count)
    let loss = 0
    for (const { feeds, from } of blocks) {
      const out = await session.run({ ...feeds, ...parts })
      const own = out.own!.data as Float32Array
      for (let i = 0; i < own.length; i++) loss -= cost[from + i]! * own[i]!
      const byWeight = out.byWeight!.data as Float32Array
      const byBias = out.byBias!.data as Float32Array
      const spread = out.curvature!.data as Float32Array
      for (let k = 0, at = 0; k < classes; k++) {
        const sum = byBias[k]!
        for (let j = 0; j < cols; j++, at++) gradient[at]! += byWeight[at]! - sum * mean[j]!
        gradient[count + k]! += sum
        curvature[k]! += spread[k]! / rows
      }
    }
    return { loss, curvature }
  }

  // A free bias sees every row once, whatever the rows are.
  const biasFactor = (curvature: number): number => 1 / Math.max(1e-12, curvature * rows)
  const metric: Metric | undefined = shaper && {
    async shape(vector, curvature) {
      weights.set(vector.subarray(0, count))
      vector.set(await shaper.shape(weights, curvature))
      for (let k = 0; k < classes; k++) vector[count + k]! *= biasFactor(curvature[k]!)
    },
    async square(vector, curvature) {
      let sum = await shaper.quadratic(vector.subarray(0, count), curvature)
      for (let k = 0; k < classes; k++) sum += vector[count + k]! ** 2 * biasFactor(curvature[k]!)
      return sum
    },
  }
  return { size: count + classes, penalised: count, bias, evaluate, metric }
}

function rowBlocks(x: Matrix, y: Int32Array, cost: Float64Array, step: number) {
  const { Tensor } = loadOrt()
  const { rows, cols } = x
  return Array.from({ length: Math.ceil(rows / step) }, (_, b) => {
    const [from, to] = [b * step, Math.min(rows, (b + 1) * step)]
    return {
      from,
      feeds: {
        x: new Tensor('float32', x.data.subarray(from * cols, to * cols), [to - from, cols]),
        label: new Tensor('int64', BigInt64Array.from(y.subarray(from, to), BigInt), [to - from, 1]),
        cost: new Tensor('float32', Float32Array.from(cost.subarray(from, to)), [to - from, 1]),
      },
    }
  })
}

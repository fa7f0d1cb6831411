import type { OnnxWriter } from '../../onnx/classifier-writer.js'
import type { Matrix } from '../contract.js'
import type { Kernel } from './functions.js'
import { pairs } from './pairwise.js'

/** A one-against-one machine as kernel-svm-model.ts holds it. */
export interface PairMachines {
  readonly kernel: Kernel
  readonly supports: Matrix
  readonly counts: Int32Array
  readonly coefficients: Float32Array
  readonly bias: Float64Array
  readonly sigmoids: Float64Array
}

/**
 * Adds an `SVMClassifier` of `ai.onnx.ml`: class probabilities where the machine has sigmoids, else the pairs'
 * decisions turned into votes. Cosine is the linear kernel on rows of unit length.
 */
export function kernelSvmOnnx(g: OnnxWriter, x: string, machines: PairMachines): string {
  const { kernel, supports, counts, coefficients, bias, sigmoids } = machines
  const cosine = kernel.kind === 'cosine'
  const scores = g.mlMany(
    'SVMClassifier',
    [cosine ? unitRows(g, x) : x],
    {
      kernel_type: kernel.kind === 'rbf' ? 'RBF' : kernel.kind === 'poly' ? 'POLY' : 'LINEAR',
      kernel_params: { floats: [kernel.gamma, kernel.coef0, kernel.degree] },
      vectors_per_class: [...counts],
      support_vectors: { floats: Array.from(cosine ? unitVectors(supports) : supports.data) },
      coefficients: { floats: Array.from(coefficients) },
      rho: { floats: [...bias] },
      ...(sigmoids.length > 0
        ? {
            prob_a: { floats: Array.from(bias, (_, p) => sigmoids[2 * p]!) },
            prob_b: { floats: Array.from(bias, (_, p) => sigmoids[2 * p + 1]!) },
          }
        : {}),
      classlabels_ints: [...counts.keys()],
      post_transform: 'NONE',
    },
    2,
  )[1]!
  if (sigmoids.length > 0) return scores
  // With two classes the operator hands over the second class's side of the decision first.
  return counts.length === 2 ? g.add('Neg', [scores]) : votesOnnx(g, scores, counts.length)
}

/** `[N, pairs]` decisions to the scores of `Votes` in pairwise.ts. */
function votesOnnx(g: OnnxWriter, decisions: string, classes: number): string {
  const place = new Int32Array(classes * (classes - 1))
  const sign = new Float32Array(place.length)
  const next = new Int32Array(classes)
  for (const [p, [a, b]] of pairs(classes).entries()) {
    for (const [c, side] of [
      [a, 1],
      [b, -1],
    ] as const) {
      const at = c * (classes - 1) + next[c]!++
      place[at] = p
      sign[at] = side
    }
  }
  const where = g.ints([...place])
  const signs = g.weights('signs', [place.length], sign)
  const own = (values: string): string => g.add('Mul', [g.add('Gather', [values, where], { axis: 1 }), signs])
  const perClass = (values: string): string =>
    g.reshape(g.sum(g.reshape(values, [0, classes, classes - 1]), 2), [0, classes])
  const won = g.cast(g.add('Greater', [decisions, g.floats(0)]), 'float32')
  // Who does not win for the first class wins for the second, and class c is the second of c pairs: it has c − won of
  // them.
  const votes = g.add('Add', [perClass(own(won)), g.floats([...next.keys()])])
  const sums = perClass(own(decisions))
  const bound = g.add('Mul', [g.add('Add', [g.add('Abs', [sums]), g.floats(1)]), g.floats(3)])
  return g.add('Add', [votes, g.add('Div', [sums, bound])])
}

function unitRows(g: OnnxWriter, x: string): string {
  const length = g.add('Sqrt', [g.sum(g.add('Mul', [x, x]), 1)])
  return g.add('Div', [x, g.add('Max', [length, g.floats(1e-30)])])
}

function unitVectors({ data, rows, cols }: Matrix): Float32Array {
  const out = new Float32Array(data.length)
  for (let i = 0; i < rows; i++) {
    let square = 0
    for (let at = i * cols; at < (i + 1) * cols; at++) square += data[at]! * data[at]!
    const factor = square > 0 ? 1 / Math.sqrt(square) : 0
    for (let at = i * cols; at < (i + 1) * cols; at++) out[at] = data[at]! * factor
  }
  return out
}

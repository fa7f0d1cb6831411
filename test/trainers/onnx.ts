import { type Classifier, predictedClasses } from '../../src/classifiers/classifier.js'
import { encodeModel } from '../../src/onnx/build.js'
import type { ModelProto } from '../../src/onnx/generated/onnx_pb.js'
import { loadOrt } from '../../src/runtime/ort.js'
import { closeSession, openSession } from '../../src/runtime/session.js'
import type { Matrix } from '../../src/trainers/contract.js'
import { rowsOf } from '../../src/trainers/linalg/gemm.js'

/** Runs a classifier's ONNX form on embeddings, as any ONNX Runtime would; `batch` rows at a time, default all. */
export async function runOnnx(
  model: ModelProto,
  x: Matrix,
  batch = x.rows,
): Promise<{ labels: string[]; scores: Float32Array }> {
  const session = await openSession(encodeModel(model), { threads: 1 })
  try {
    const { Tensor } = loadOrt()
    const labels: string[] = []
    const scores: number[] = []
    for (let from = 0; from < x.rows; from += batch) {
      const rows = rowsOf(x, from, Math.min(x.rows, from + batch))
      const out = await session.run({ embedding: new Tensor('float32', rows.data, [rows.rows, rows.cols]) })
      for (const label of out.label!.data as unknown as string[]) labels.push(label)
      for (const score of (out.probabilities ?? out.scores)!.data as Float32Array) scores.push(score)
    }
    return { labels, scores: Float32Array.from(scores) }
  } finally {
    await closeSession(session)
  }
}

export interface OnnxDifference {
  /** The largest difference of a score, relative where the score is above 1. */
  readonly score: number
  /** Rows whose class differs. */
  readonly classes: number
}

/** How far the ONNX form is from the classifier itself. */
export async function onnxDifference(
  classifier: Classifier,
  x: Matrix,
  opset?: number,
  batch?: number,
): Promise<OnnxDifference> {
  const expected = await classifier.predictScores(x)
  return differenceFrom(classifier, expected, await runOnnx(classifier.toOnnx(opset), x, batch))
}

/** The same from what the classifier and its ONNX form gave. */
export function differenceFrom(
  { classes }: Classifier,
  expected: Float32Array,
  { labels, scores }: { readonly labels: readonly string[]; readonly scores: Float32Array },
): OnnxDifference {
  if (scores.length !== expected.length) return { score: Number.NaN, classes: labels.length }
  let score = 0
  for (let i = 0; i < scores.length; i++)
    score = Math.max(score, Math.abs(scores[i]! - expected[i]!) / Math.max(1, Math.abs(expected[i]!)))
  const own = predictedClasses(expected, classes.length)
  return { score, classes: labels.filter((label, i) => label !== classes[own[i]!]).length }
}

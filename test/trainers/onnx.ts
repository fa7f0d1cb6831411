import { encodeModel } from '../../src/onnx/build.js'
import type { ModelProto } from '../../src/onnx/generated/onnx_pb.js'
import { loadOrt } from '../../src/runtime/ort.js'
import { closeSession, openSession } from '../../src/runtime/session.js'
import { type Classifier, predictedClasses } from '../../src/trainers/classifier.js'
import type { Matrix } from '../../src/trainers/contract.js'
import { rowsOf } from '../../src/trainers/gemm.js'

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

/**
 * How far the ONNX form is from the classifier itself: the largest difference of a score (relative where the score is above 1) and
 * the rows whose class differs.
 */
export async function onnxDifference(
  classifier: Classifier,
  x: Matrix,
  opset?: number,
  batch?: number,
): Promise<{ score: number; classes: number }> {
  const expected = await classifier.predictScores(x)
  const { labels, scores } = await runOnnx(classifier.toOnnx(opset), x, batch)
  if (scores.length !== expected.length) return { score: Number.NaN, classes: x.rows }
  let score = 0
  for (let i = 0; i < scores.length; i++)
    score = Math.max(score, Math.abs(scores[i]! - expected[i]!) / Math.max(1, Math.abs(expected[i]!)))
  const own = predictedClasses(expected, classifier.classes.length)
  return { score, classes: labels.filter((label, i) => label !== classifier.classes[own[i]!]).length }
}

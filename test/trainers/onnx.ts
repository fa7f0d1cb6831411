import { encodeModel } from '../../src/onnx/build.js'
import type { ModelProto } from '../../src/onnx/generated/onnx_pb.js'
import { loadOrt } from '../../src/runtime/ort.js'
import { closeSession, openSession } from '../../src/runtime/session.js'
import { type Classifier, predictedClasses } from '../../src/trainers/classifier.js'
import type { Matrix } from '../../src/trainers/contract.js'

/** Runs a classifier's ONNX form on embeddings, as any ONNX Runtime would. */
export async function runOnnx(model: ModelProto, x: Matrix): Promise<{ labels: string[]; scores: Float32Array }> {
  const session = await openSession(encodeModel(model), { threads: 1 })
  try {
    const { Tensor } = loadOrt()
    const out = await session.run({ embedding: new Tensor('float32', x.data, [x.rows, x.cols]) })
    return {
      labels: [...(out.label!.data as unknown as string[])],
      scores: (out.probabilities ?? out.scores)!.data as Float32Array,
    }
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
): Promise<{ score: number; classes: number }> {
  const expected = await classifier.predictScores(x)
  const { labels, scores } = await runOnnx(classifier.toOnnx(opset), x)
  if (scores.length !== expected.length) return { score: Number.NaN, classes: x.rows }
  let score = 0
  for (let i = 0; i < scores.length; i++)
    score = Math.max(score, Math.abs(scores[i]! - expected[i]!) / Math.max(1, Math.abs(expected[i]!)))
  const own = predictedClasses(expected, classifier.classes.length)
  return { score, classes: labels.filter((label, i) => label !== classifier.classes[own[i]!]).length }
}

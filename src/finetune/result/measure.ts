import { join } from 'node:path'
import { node, valueInfo } from '../../onnx/build.js'
import { withGraph, withModel } from '../../onnx/edit.js'
import type { ModelProto } from '../../onnx/generated/onnx_pb.js'
import { graphOf } from '../../onnx/walk.js'
import { writeModel } from '../../onnx/write.js'
import { InferenceWorker } from '../../runtime/inference.js'
import { type HeadedNetwork, logitsName, withWeights } from '../plan/network.js'
import { labelOf, type PreparedFinetune } from '../plan/prepare.js'
import type { Weights } from '../train/checkpoint.js'
import type { Images } from '../train/images.js'

const rowsPerRun = 8

interface Prediction {
  readonly id: string
  readonly label: string
  readonly predicted: string
  /** Of each class. */
  readonly scores: readonly number[]
}

/** What the network makes of the reported images; those that cannot be read are left out. */
export interface Measurement {
  readonly correct: number
  readonly rows: number
  /** Images by true and predicted class. */
  readonly confusion: readonly (readonly number[])[]
  readonly predictions: readonly Prediction[]
}

/** Pixels to probabilities, one column a class: what the report is measured with. */
function scoringModel(network: HeadedNetwork, weights: Weights): ModelProto {
  const model = withWeights(network.model, weights)
  const graph = graphOf(model)
  const op =
    network.outputs === 1
      ? node('Sigmoid', [logitsName], ['scores'])
      : node('Softmax', [logitsName], ['scores'], { axis: 1 })
  return withModel(model, {
    graph: withGraph(graph, {
      node: [...graph.node, op],
      output: [valueInfo('scores', 'float32', ['N', network.outputs])],
    }),
  })
}

/** Scores of each class for some images, by row; undefined for an image that could not be read. */
async function classScores(
  worker: InferenceWorker,
  images: Images,
  { height, width }: HeadedNetwork,
  wanted: readonly number[],
): Promise<(number[] | undefined)[]> {
  const { data, ok } = await images.rows(wanted, undefined)
  const { outputs } = await worker.run(data, [wanted.length, height, width, 3])
  const all = outputs[0]!.data
  const columns = all.length / wanted.length
  return wanted.map((_, row) => {
    if (ok[row] === 0) return undefined
    const scores = [...all.subarray(row * columns, (row + 1) * columns)]
    return columns === 1 ? [1 - scores[0]!, scores[0]!] : scores
  })
}

interface MeasureOptions {
  readonly images: Images
  readonly weights: Weights
  /** Folder for the network that gives the scores. */
  readonly work: string
  readonly threads: number
}

/** Measures the network with these weights on the reported images, which are looked at this once. */
export async function measure(
  prepared: PreparedFinetune,
  { images, weights, work, threads }: MeasureOptions,
): Promise<Measurement> {
  const { roles, network, classes, items } = prepared
  const label = labelOf(prepared)
  const file = join(work, 'scoring.onnx')
  await writeModel(scoringModel(network, weights), file)
  const worker = await InferenceWorker.open(file, { threads })
  const confusion = classes.map(() => classes.map(() => 0))
  const predictions: Prediction[] = []
  let correct = 0
  try {
    for (let from = 0; from < roles.report.length; from += rowsPerRun) {
      const wanted = roles.report.slice(from, from + rowsPerRun)
      for (const [row, scores] of (await classScores(worker, images, network, wanted)).entries()) {
        if (!scores) continue
        const image = wanted[row]!
        const predicted = scores.indexOf(Math.max(...scores))
        const truth = label(image)
        if (predicted === truth) correct++
        confusion[truth]![predicted]!++
        predictions.push({ id: items[image]!.id, label: classes[truth]!, predicted: classes[predicted]!, scores })
      }
    }
  } finally {
    await worker.close()
  }
  return { correct, rows: predictions.length, confusion, predictions }
}

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic, writeJsonAtomic } from '../../base/files.js'
import { versions } from '../../base/versions.js'
import { node, valueInfo } from '../../onnx/build.js'
import { withGraph, withModel } from '../../onnx/edit.js'
import type { ModelProto } from '../../onnx/generated/onnx_pb.js'
import { graphOf } from '../../onnx/walk.js'
import { writeModel } from '../../onnx/write.js'
import { InferenceWorker } from '../../runtime/inference.js'
import { type HeadedNetwork, logitsName, withWeights } from '../plan/network.js'
import type { PreparedFinetune } from '../plan/prepare.js'
import type { EpochRecord, State, Weights } from '../train/checkpoint.js'
import type { Images } from '../train/images.js'
import { recordName } from './record.js'
import { registerTuned, tunedId } from './register.js'
import { writeBackbone } from './tuned-model.js'

export interface FinetuneRun {
  readonly out: string
  readonly threads?: number | undefined
  readonly decodeThreads?: number | undefined
  readonly force?: boolean | undefined
  /** Steps between two checkpoints within an epoch; 0 for none. Default 200. */
  readonly checkpointSteps?: number | undefined
  /** Name of the tuned network; default that of its folder. */
  readonly id?: string | undefined
  /** Where the network is made known under its name (`--model <id>`); left out, it is used by its path. */
  readonly cacheFolder?: string | undefined
  /** Leaves the frozen activations in place when training is over. */
  readonly keepFrozen?: boolean | undefined
}

export interface FinetuneSummary {
  readonly out: string
  readonly model: string
  readonly id: string
  /** Whether `--model <id>` means this network; otherwise another one has that name, or no cache folder was given. */
  readonly known: boolean
  readonly sha256: string
  readonly accuracy: number
  readonly correct: number
  readonly reported: number
  readonly failures: number
  readonly bestEpoch: number
  readonly history: readonly EpochRecord[]
  readonly seconds: number
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

/** Scores of the reported images, which are looked at this once. */
async function report(
  prepared: PreparedFinetune,
  images: Images,
  file: string,
  labels: (image: number) => number,
  threads: number,
): Promise<{ correct: number; rows: number; confusion: number[][]; predictions: unknown[] }> {
  const { roles, network, classes, items } = prepared
  const worker = await InferenceWorker.open(file, { threads })
  const confusion = classes.map(() => classes.map(() => 0))
  const predictions: unknown[] = []
  let [correct, rows] = [0, 0]
  try {
    for (let from = 0; from < roles.report.length; from += 8) {
      const wanted = roles.report.slice(from, from + 8)
      const { data, ok } = await images.rows(wanted, undefined)
      const { outputs } = await worker.run(data, [wanted.length, network.height, network.width, 3])
      const all = outputs[0]!.data
      wanted.forEach((image, row) => {
        if (ok[row] === 0) return
        const columns = all.length / wanted.length
        const scores = [...all.subarray(row * columns, (row + 1) * columns)]
        const wide = columns === 1 ? [1 - scores[0]!, scores[0]!] : scores
        const predicted = wide.indexOf(Math.max(...wide))
        const truth = labels(image)
        rows++
        if (predicted === truth) correct++
        confusion[truth]![predicted]!++
        predictions.push({ id: items[image]!.id, label: classes[truth], predicted: classes[predicted], scores: wide })
      })
    }
  } finally {
    await worker.close()
  }
  return { correct, rows, confusion, predictions }
}

/**
 * Measures the tuned network on the images kept for the report, and writes it as a backbone with its record.
 */
export async function finish(
  prepared: PreparedFinetune,
  run: FinetuneRun,
  done: {
    readonly images: Images
    readonly best: Weights
    readonly label: (image: number) => number
    readonly threads: number
    readonly state: State
    readonly started: number
    readonly log: (line: Readonly<Record<string, unknown>>) => Promise<void>
    readonly orient: boolean
  },
): Promise<FinetuneSummary> {
  const { plan, roles, items, backbone, network, classes } = prepared
  const { images, best, state } = done
  const work = join(run.out, 'work')
  // A resumed run may not have decoded every image: their hashes belong into the list.
  const seen = [...roles.train, ...roles.select]
  const missing = seen.filter((i) => !images.hashes.has(items[i]!.id) && !images.failures.has(items[i]!.id))
  for (let from = 0; from < missing.length; from += 16) await images.rows(missing.slice(from, from + 16), undefined)
  const scoring = join(work, 'scoring.onnx')
  await writeModel(scoringModel(network, best), scoring)
  const measured = await report(prepared, images, scoring, done.label, done.threads)
  const ids = (list: readonly number[]): string[] => list.map((i) => items[i]!.id)
  const hashes = (list: readonly number[]): string[] => [
    ...new Set(list.flatMap((i) => images.hashes.get(items[i]!.id) ?? [])),
  ]
  const written = await writeBackbone({
    out: run.out,
    id: tunedId(run),
    plan,
    backbone: prepared.model,
    card: backbone.card,
    recipe: backbone.recipe,
    network,
    weights: best,
    trainedOn: { ids: ids(seen), images: hashes(seen) },
    fitted: { ids: ids(roles.train), images: hashes(roles.train) },
    epoch: state.best?.epoch ?? 0,
    orient: done.orient,
  })
  const known = await registerTuned(written.card, run)
  const failures = [...images.failures.values()]
  await writeFileAtomic(
    join(run.out, 'failures.jsonl'),
    failures.map((failure) => `${JSON.stringify(failure)}\n`).join(''),
  )
  const accuracy = measured.correct / Math.max(1, measured.rows)
  await writeJsonAtomic(join(run.out, recordName), {
    format: 1,
    kind: 'fc7-finetune',
    plan: prepared.planHash,
    backbone: { id: written.id, sha256: written.sha256 },
    best: state.best,
    history: state.history,
    report: {
      source: plan.images.sources.report,
      rows: measured.rows,
      correct: measured.correct,
      accuracy,
      classes,
      confusion: measured.confusion,
    },
    predictions: measured.predictions,
    failures: failures.length,
    versions: versions(),
  })
  const seconds = (performance.now() - done.started) / 1000
  await done.log({ event: 'finished', accuracy, rows: measured.rows, seconds })
  if (!run.keepFrozen) await rm(work, { recursive: true, force: true })
  return {
    out: run.out,
    model: written.model,
    id: written.id,
    known,
    sha256: written.sha256,
    accuracy,
    correct: measured.correct,
    reported: measured.rows,
    failures: failures.length,
    bestEpoch: state.best?.epoch ?? 0,
    history: state.history,
    seconds,
  }
}

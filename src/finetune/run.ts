import { appendFile, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { Fc7Error, throwIfAborted } from '../base/errors.js'
import { sha256, writeFileAtomic, writeJsonAtomic } from '../base/files.js'
import { silentProgress } from '../base/progress.js'
import { defaultAugmentation } from '../images/augment-plan.js'
import { node, valueInfo } from '../onnx/build.js'
import { withGraph, withModel } from '../onnx/edit.js'
import type { ModelProto } from '../onnx/generated/onnx_pb.js'
import { floatsOf } from '../onnx/values.js'
import { graphOf } from '../onnx/walk.js'
import { writeModel } from '../onnx/write.js'
import { InferenceWorker } from '../runtime/inference.js'
import { machineFacts } from '../runtime/machine.js'
import { type EpochRecord, readState, type State, type Weights } from './checkpoint.js'
import { FrozenActivations } from './frozen.js'
import { buildPhaseGraphs } from './graphs.js'
import { type HeadedNetwork, logitsName, lowerModel, withWeights } from './network.js'
import { runPhase } from './phase.js'
import { Pictures } from './pictures.js'
import type { FinetuneRequest, PreparedFinetune } from './prepare.js'
import { writeBackbone } from './result.js'
import { TrainingThread } from './training-thread.js'

export interface FinetuneRun {
  readonly out: string
  readonly threads?: number
  readonly decodeThreads?: number
  readonly force?: boolean
  /** Steps between two checkpoints within an epoch; 0 for none. Default 200. */
  readonly checkpointSteps?: number
  /** Leaves the frozen activations in place when training is over. */
  readonly keepFrozen?: boolean
  readonly versions: Readonly<Record<string, string>>
}

export interface FinetuneSummary {
  readonly out: string
  readonly model: string
  readonly id: string
  readonly sha256: string
  readonly accuracy: number
  readonly correct: number
  readonly reported: number
  readonly failures: number
  readonly bestEpoch: number
  readonly history: readonly EpochRecord[]
  readonly seconds: number
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
const recordName = 'finetune.json'
/** What a run leaves in its folder; `--force` removes these names and no others. */
const ownNames = [
  'plan.json',
  'log.jsonl',
  'failures.jsonl',
  'trained-on.json',
  'model.onnx',
  'model.onnx.card.json',
  recordName,
  'classifier',
  'work',
]

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

async function report(
  prepared: PreparedFinetune,
  pictures: Pictures,
  file: string,
  labels: (picture: number) => number,
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
      const { data, ok } = await pictures.rows(wanted, undefined)
      const { outputs } = await worker.run(data, [wanted.length, network.height, network.width, 3])
      const all = outputs[0]!.data
      wanted.forEach((picture, row) => {
        if (ok[row] === 0) return
        const columns = all.length / wanted.length
        const scores = [...all.subarray(row * columns, (row + 1) * columns)]
        const wide = columns === 1 ? [1 - scores[0]!, scores[0]!] : scores
        const predicted = wide.indexOf(Math.max(...wide))
        const truth = labels(picture)
        rows++
        if (predicted === truth) correct++
        confusion[truth]![predicted]!++
        predictions.push({ id: items[picture]!.id, label: classes[truth], predicted: classes[predicted], scores: wide })
      })
    }
  } finally {
    await worker.close()
  }
  return { correct, rows, confusion, predictions }
}

/** Refuses a folder that holds something else; begins anew under `force`. */
async function openFolder(run: FinetuneRun, planHash: string): Promise<State | undefined> {
  const work = join(run.out, 'work')
  if (run.force) for (const name of ownNames) await rm(join(run.out, name), { recursive: true, force: true })
  if (await exists(join(run.out, recordName))) {
    throw new Fc7Error('FINETUNE_DONE', `${run.out} holds a training that is finished.`, {
      hint: 'Give another --out, or --force to train again.',
    })
  }
  const state = await readState(work, planHash)
  if (!state && (await exists(run.out))) {
    const others = (await readdir(run.out)).filter((name) => !ownNames.includes(name) && !name.startsWith('.'))
    if (others.length > 0) {
      throw new Fc7Error('FINETUNE_TAKEN', `${run.out} is not empty: it holds ${others[0]}.`, {
        hint: 'Give a new folder as --out.',
      })
    }
  }
  await mkdir(work, { recursive: true })
  return state
}

/**
 * Fine-tunes as prepared, or goes on where a stopped run left off: the same command gives the same weights.
 *
 * @throws Fc7Error FINETUNE_DONE, FINETUNE_OTHER, FINETUNE_TAKEN, FINETUNE_DIVERGED, GRADIENT_MISSING; INTERRUPTED
 */
export async function runFinetune(
  prepared: PreparedFinetune,
  request: Pick<FinetuneRequest, 'progress' | 'signal' | 'orient'>,
  run: FinetuneRun,
): Promise<FinetuneSummary> {
  const { plan, planHash, roles, classes, items, network, backbone } = prepared
  const { progress = silentProgress, signal } = request
  const started = performance.now()
  const total = Math.max(1, run.threads ?? availableParallelism())
  // Training takes all threads; decoding runs in the gaps it leaves.
  const threads = { inference: total, decode: Math.max(1, run.decodeThreads ?? Math.ceil(total / 2)) }
  const index = new Map(classes.map((label, i) => [label, i]))
  const label = (picture: number): number => index.get(items[picture]!.label!)!
  const counts = classes.map((_, c) => roles.train.filter((picture) => label(picture) === c).length)
  // Every phase's graph is built before anything runs: an op without a gradient is found now.
  let current = network
  for (const phase of plan.phases) buildPhaseGraphs(current, plan, phase, counts)
  let state = await openFolder(run, planHash)
  const work = join(run.out, 'work')
  await writeJsonAtomic(join(run.out, 'plan.json'), plan)
  const logPath = join(run.out, 'log.jsonl')
  const log = (line: Readonly<Record<string, unknown>>): Promise<void> =>
    appendFile(logPath, `${JSON.stringify(line)}\n`)
  await log({
    event: state ? 'resumed' : 'started',
    at: new Date().toISOString(),
    plan: planHash,
    machine: machineFacts(),
    versions: run.versions,
  })
  const pictures = new Pictures(items, {
    recipe: backbone.recipe.recipe,
    width: network.width,
    height: network.height,
    threads: threads.decode,
    orient: request.orient ?? false,
    seed: plan.options.seed,
    augmentation: defaultAugmentation,
  })
  try {
    let history = state?.history ?? []
    for (const [number, phase] of plan.phases.entries()) {
      throwIfAborted(signal, 'Fine-tuning')
      if (state && state.phase > number) continue
      const graphs = buildPhaseGraphs(current, plan, phase, counts)
      const trainingFile = join(work, `training${number}.onnx`)
      const evaluationFile = join(work, `evaluation${number}.onnx`)
      await writeModel(graphs.training.model, trainingFile)
      await writeModel(graphs.evaluation, evaluationFile)
      const values = graphs.boundary.row.reduce((product, n) => product * n, 1)
      const { augment } = plan.options
      let frozen: FrozenActivations | undefined
      let best: Weights
      if (phase.trunk === 'cached') {
        const lower = lowerModel(current, graphs.boundary)
        frozen = await FrozenActivations.make({
          folder: join(work, `frozen${number}`),
          key: sha256(JSON.stringify([planHash, phase.boundaryTensor, number])),
          sets: [
            { pictures: roles.select, view: undefined },
            ...Array.from({ length: phase.views }, (_, view) => ({
              pictures: roles.train,
              view: augment ? view : undefined,
            })),
          ],
          values,
          graphFile: async () => {
            const file = join(work, `lower${number}.onnx`)
            await writeModel(lower, file)
            return file
          },
          pictures,
          size: network,
          threads: threads.inference,
          progress,
          signal,
        })
      }
      const { model: _, ...facts } = graphs.training
      const thread = await TrainingThread.open({
        graph: { ...facts, file: trainingFile },
        evaluationFile,
        input: graphs.input,
        threads: threads.inference,
      })
      const task = progress.task({
        label: `Training ${phase.name}`,
        total: phase.epochs * phase.stepsPerEpoch,
        unit: 'steps',
      })
      try {
        const result = await runPhase({
          plan,
          number,
          phase,
          folder: work,
          thread,
          parts: facts.parts,
          train: roles.train,
          select: roles.select,
          label,
          rowBytes: frozen ? values * 4 : pictures.bytes,
          rows: (set, wanted, epoch) => {
            if (frozen) return frozen.rows(set === 'select' ? 0 : 1 + (epoch % phase.views), wanted)
            return pictures.rows(wanted, set === 'train' && augment ? epoch : undefined)
          },
          state,
          history,
          planHash,
          checkpointSteps: run.checkpointSteps ?? 200,
          batch: plan.options.batch,
          log,
          task,
          signal,
        })
        state = result.state
        best = result.best
      } finally {
        await thread.close()
        task.end()
      }
      current = { ...current, model: withWeights(current.model, best) }
      if (number + 1 < plan.phases.length) {
        history = state.history
        state = undefined
      }
    }
    return await finish(prepared, run, {
      pictures,
      best: weightsOf(current),
      label,
      threads: threads.inference,
      state: state!,
      started,
      log,
      orient: request.orient ?? false,
    })
  } finally {
    await pictures.close()
  }
}

/** Every float weight of the headed network by name. */
function weightsOf(network: HeadedNetwork): Weights {
  const wanted = new Set(network.parameters.map(({ name }) => name))
  for (const { opType, input } of graphOf(network.model).node)
    if (opType === 'BatchNormalization') for (const name of input.slice(1)) wanted.add(name)
  return new Map(
    graphOf(network.model).initializer.flatMap((entry) =>
      wanted.has(entry.name) ? [[entry.name, floatsOf(entry)] as const] : [],
    ),
  )
}

async function finish(
  prepared: PreparedFinetune,
  run: FinetuneRun,
  done: {
    readonly pictures: Pictures
    readonly best: Weights
    readonly label: (picture: number) => number
    readonly threads: number
    readonly state: State
    readonly started: number
    readonly log: (line: Readonly<Record<string, unknown>>) => Promise<void>
    readonly orient: boolean
  },
): Promise<FinetuneSummary> {
  const { plan, roles, items, backbone, network, classes } = prepared
  const { pictures, best, state } = done
  const work = join(run.out, 'work')
  // A resumed run may not have decoded every picture: their hashes belong into the list.
  const seen = [...roles.train, ...roles.select]
  const missing = seen.filter((i) => !pictures.hashes.has(items[i]!.id) && !pictures.failures.has(items[i]!.id))
  for (let from = 0; from < missing.length; from += 16) await pictures.rows(missing.slice(from, from + 16), undefined)
  const scoring = join(work, 'scoring.onnx')
  await writeModel(scoringModel(network, best), scoring)
  const measured = await report(prepared, pictures, scoring, done.label, done.threads)
  const ids = (list: readonly number[]): string[] => list.map((i) => items[i]!.id)
  const hashes = (list: readonly number[]): string[] => [
    ...new Set(list.flatMap((i) => pictures.hashes.get(items[i]!.id) ?? [])),
  ]
  const name = basename(resolve(run.out))
    .replace(/[^\w.-]+/g, '-')
    .replace(/^[^a-zA-Z0-9]+/, '')
  const written = await writeBackbone({
    out: run.out,
    id: name || 'tuned',
    plan,
    backbone: prepared.model,
    card: backbone.card,
    recipe: backbone.recipe,
    network,
    weights: best,
    trainedOn: { ids: ids(seen), pictures: hashes(seen) },
    fitted: { ids: ids(roles.train), pictures: hashes(roles.train) },
    epoch: state.best?.epoch ?? 0,
    orient: done.orient,
  })
  const failures = [...pictures.failures.values()]
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
      source: plan.pictures.sources.report,
      rows: measured.rows,
      correct: measured.correct,
      accuracy,
      classes,
      confusion: measured.confusion,
    },
    predictions: measured.predictions,
    failures: failures.length,
    versions: run.versions,
  })
  const seconds = (performance.now() - done.started) / 1000
  await done.log({ event: 'finished', accuracy, rows: measured.rows, seconds })
  if (!run.keepFrozen) await rm(work, { recursive: true, force: true })
  return {
    out: run.out,
    model: written.model,
    id: written.id,
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

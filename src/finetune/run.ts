import { appendFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { throwIfAborted } from '../base/errors.js'
import { sha256, writeJsonAtomic } from '../base/files.js'
import { type Progress, silentProgress } from '../base/progress.js'
import { versions } from '../base/versions.js'
import { floatsOf } from '../onnx/values.js'
import { graphOf } from '../onnx/walk.js'
import { writeModel } from '../onnx/write.js'
import { machineFacts } from '../runtime/machine.js'
import { lowerModel } from './plan/boundaries.js'
import { buildPhaseGraphs, type PhaseGraphs } from './plan/graphs.js'
import { type HeadedNetwork, withWeights } from './plan/network.js'
import { augmentationOf } from './plan/options.js'
import type { PhasePlan } from './plan/plan.js'
import { classCounts, type FinetuneRequest, labelOf, type PreparedFinetune } from './plan/prepare.js'
import { type FinetuneSummary, finish } from './result/finish.js'
import { type FinetuneRun, openFolder, workFolder } from './result/folder.js'
import { nameIsFree } from './result/register.js'
import type { State, Weights } from './train/checkpoint.js'
import { FrozenActivations } from './train/frozen.js'
import { Images } from './train/images.js'
import { type PhaseResult, runPhase } from './train/phase.js'
import { openTrainingThread, type TrainingThread } from './train/training-thread.js'

/** What the phases of a run share. */
interface Training {
  readonly prepared: PreparedFinetune
  readonly run: FinetuneRun
  readonly images: Images
  /** Threads of the runtime. */
  readonly threads: number
  readonly log: (line: Readonly<Record<string, unknown>>) => Promise<void>
  readonly progress: Progress
  readonly signal: AbortSignal | undefined
}

/** A phase, the network that it begins with, and what came before it. */
interface PhaseStart {
  readonly number: number
  readonly phase: PhasePlan
  readonly network: HeadedNetwork
  readonly graphs: PhaseGraphs
  readonly state: State | undefined
  readonly history: State['history']
}

/** The activations at the boundary in every view, from the cache or computed now. */
function frozenActivations(training: Training, { number, phase, network, graphs }: PhaseStart) {
  const { prepared, run, images, threads, progress, signal } = training
  const { plan, planHash, roles } = prepared
  const work = workFolder(run)
  const views = Array.from({ length: phase.views }, (_, view) => view)
  return FrozenActivations.make({
    folder: join(work, `frozen${number}`),
    key: sha256(JSON.stringify([planHash, phase.boundaryTensor, number])),
    sets: [
      { images: roles.select, view: undefined },
      ...views.map((view) => ({ images: roles.train, view: plan.options.augment ? view : undefined })),
    ],
    values: valuesOf(graphs),
    graphFile: async () => {
      const file = join(work, `lower${number}.onnx`)
      await writeModel(lowerModel(network, graphs.boundary), file)
      return file
    },
    images,
    size: prepared.network,
    threads,
    progress,
    signal,
  })
}

/** Values of one row at the boundary. */
const valuesOf = ({ boundary }: PhaseGraphs): number => boundary.row.reduce((product, n) => product * n, 1)

/** Writes the graphs of a phase and opens them in a thread. */
async function openGraphs({ run, threads }: Training, { number, graphs }: PhaseStart): Promise<TrainingThread> {
  const work = workFolder(run)
  const file = join(work, `training${number}.onnx`)
  const evaluationFile = join(work, `evaluation${number}.onnx`)
  await writeModel(graphs.training.model, file)
  await writeModel(graphs.evaluation, evaluationFile)
  const { model: _, ...facts } = graphs.training
  // Where the optimizer has no state yet, the thread makes its zeros itself.
  const stateless = facts.loopState.filter(({ kind }) => kind === 'parameter' || kind === 'statistic')
  const initial = new Map(stateless.map(({ name }) => [name, facts.initial.get(name)!]))
  return openTrainingThread({ graph: { ...facts, initial, file }, evaluationFile, input: graphs.input, threads })
}

async function trainPhase(training: Training, start: PhaseStart): Promise<PhaseResult> {
  const { prepared, run, images, log, progress, signal } = training
  const { plan, planHash, roles } = prepared
  const { number, phase, graphs, state, history } = start
  const frozen = phase.frozenLayers === 'cached' ? await frozenActivations(training, start) : undefined
  const thread = await openGraphs(training, start)
  const task = progress.task({
    label: `Training ${phase.name}`,
    total: phase.epochs * phase.stepsPerEpoch,
    unit: 'steps',
    from: state?.steps ?? 0,
  })
  try {
    return await runPhase({
      plan,
      number,
      phase,
      folder: workFolder(run),
      thread,
      parts: graphs.training.parts,
      train: roles.train,
      select: roles.select,
      label: labelOf(prepared),
      rowBytes: frozen ? valuesOf(graphs) * 4 : images.bytes,
      rows: (set, wanted, epoch) => {
        if (frozen) return frozen.rows(set === 'select' ? 0 : 1 + (epoch % phase.views), wanted)
        return images.rows(wanted, set === 'train' && plan.options.augment ? epoch : undefined)
      },
      state,
      history,
      planHash,
      checkpointSteps: run.checkpointSteps ?? 200,
      batch: plan.options.batchSize,
      log,
      task,
      signal,
    })
  } finally {
    await thread.close()
    task.end()
  }
}

/** Trains the phases one after the other, from the state of a run that was stopped if there is one. */
async function trainPhases(
  training: Training,
  stopped: State | undefined,
): Promise<{ readonly network: HeadedNetwork; readonly state: State }> {
  const { prepared, signal } = training
  const { plan } = prepared
  let { network } = prepared
  let state = stopped
  for (const [number, phase] of plan.phases.entries()) {
    throwIfAborted(signal, 'Fine-tuning')
    if (state && state.phase > number) continue
    const graphs = buildPhaseGraphs(network, plan, phase, { classCounts: classCounts(prepared) })
    const result = await trainPhase(training, {
      number,
      phase,
      network,
      graphs,
      state: state?.phase === number ? state : undefined,
      history: state?.history ?? [],
    })
    network = { ...network, model: withWeights(network.model, result.best) }
    state = result.state
  }
  return { network, state: state! }
}

/** Opens the run's log with a line that says what begins here. */
async function openLog(out: string, planHash: string, stopped: State | undefined): Promise<Training['log']> {
  const log: Training['log'] = (line) => appendFile(join(out, 'log.jsonl'), `${JSON.stringify(line)}\n`)
  await log({
    event: stopped ? 'resumed' : 'started',
    at: new Date().toISOString(),
    plan: planHash,
    machine: machineFacts(),
    versions: versions(),
  })
  return log
}

/**
 * Fine-tunes as prepared, or goes on where a stopped run left off: the same command gives the same weights.
 *
 * @throws Fc7Error USAGE_MODEL_ID, MODEL_ID_TAKEN, FINETUNE_DONE, FINETUNE_OTHER, FINETUNE_TAKEN, FINETUNE_DIVERGED,
 * GRADIENT_MISSING; INTERRUPTED
 */
export async function runFinetune(
  prepared: PreparedFinetune,
  request: Pick<FinetuneRequest, 'progress' | 'signal' | 'orient'>,
  run: FinetuneRun,
): Promise<FinetuneSummary> {
  const { plan, planHash, items, network, backbone } = prepared
  const { progress = silentProgress, signal, orient = false } = request
  const started = performance.now()
  // Training takes all threads; decoding runs in the gaps it leaves.
  const threads = Math.max(1, run.threads ?? availableParallelism())
  // Every phase's graph is built before anything runs: an op without a gradient is found now.
  for (const phase of plan.phases) buildPhaseGraphs(network, plan, phase, { classCounts: classCounts(prepared) })
  await nameIsFree(run)
  const stopped = await openFolder(run, planHash)
  await writeJsonAtomic(join(run.out, 'plan.json'), plan)
  const log = await openLog(run.out, planHash, stopped)
  const images = new Images(items, {
    recipe: backbone.recipe.recipe,
    width: network.width,
    height: network.height,
    threads: Math.max(1, run.decodeThreads ?? Math.ceil(threads / 2)),
    orient,
    seed: plan.options.seed,
    augmentation: augmentationOf(plan.options),
  })
  try {
    const trained = await trainPhases({ prepared, run, images, threads, log, progress, signal }, stopped)
    const { state } = trained
    return await finish(prepared, run, {
      images,
      best: weightsOf(trained.network),
      threads,
      state,
      started,
      log,
      orient,
    })
  } finally {
    await images.close()
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

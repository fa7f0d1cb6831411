import { appendFile, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { Fc7Error, throwIfAborted } from '../base/errors.js'
import { sha256, writeJsonAtomic } from '../base/files.js'
import { silentProgress } from '../base/progress.js'
import { versions } from '../base/versions.js'
import { floatsOf } from '../onnx/values.js'
import { graphOf } from '../onnx/walk.js'
import { writeModel } from '../onnx/write.js'
import { machineFacts } from '../runtime/machine.js'
import { lowerModel } from './plan/boundaries.js'
import { buildPhaseGraphs } from './plan/graphs.js'
import { type HeadedNetwork, withWeights } from './plan/network.js'
import { augmentationOf } from './plan/options.js'
import type { FinetuneRequest, PreparedFinetune } from './plan/prepare.js'
import { type FinetuneRun, type FinetuneSummary, finish } from './result/finish.js'
import { recordName } from './result/record.js'
import { nameIsFree } from './result/register.js'
import { readState, type State, type Weights } from './train/checkpoint.js'
import { FrozenActivations } from './train/frozen.js'
import { Images } from './train/images.js'
import { runPhase } from './train/phase.js'
import { openTrainingThread } from './train/training-thread.js'

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
/** What a run leaves in its folder; `--force` removes these names and no others. */
const ownNames = [
  'plan.json',
  'log.jsonl',
  'curves.html',
  'failures.jsonl',
  'trained-on.json',
  'model.onnx',
  'model.onnx.card.json',
  recordName,
  'classifier',
  'work',
]

/** Refuses a folder that holds something else; begins again under `force`. */
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
 * @throws Fc7Error USAGE_MODEL_ID, MODEL_ID_TAKEN, FINETUNE_DONE, FINETUNE_OTHER, FINETUNE_TAKEN, FINETUNE_DIVERGED,
 * GRADIENT_MISSING; INTERRUPTED
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
  const label = (image: number): number => index.get(items[image]!.label!)!
  const counts = classes.map((_, c) => roles.train.filter((image) => label(image) === c).length)
  // Every phase's graph is built before anything runs: an op without a gradient is found now.
  let current = network
  for (const phase of plan.phases) buildPhaseGraphs(current, plan, phase, counts)
  await nameIsFree(run)
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
    versions: versions(),
  })
  const images = new Images(items, {
    recipe: backbone.recipe.recipe,
    width: network.width,
    height: network.height,
    threads: threads.decode,
    orient: request.orient ?? false,
    seed: plan.options.seed,
    augmentation: augmentationOf(plan.options),
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
      if (phase.frozenLayers === 'cached') {
        const lower = lowerModel(current, graphs.boundary)
        frozen = await FrozenActivations.make({
          folder: join(work, `frozen${number}`),
          key: sha256(JSON.stringify([planHash, phase.boundaryTensor, number])),
          sets: [
            { images: roles.select, view: undefined },
            ...Array.from({ length: phase.views }, (_, view) => ({
              images: roles.train,
              view: augment ? view : undefined,
            })),
          ],
          values,
          graphFile: async () => {
            const file = join(work, `lower${number}.onnx`)
            await writeModel(lower, file)
            return file
          },
          images,
          size: network,
          threads: threads.inference,
          progress,
          signal,
        })
      }
      const { model: _, ...facts } = graphs.training
      // Where the optimizer has no state yet, the thread makes its zeros itself.
      const stateless = facts.loopState.filter(({ kind }) => kind === 'parameter' || kind === 'statistic')
      const initial = new Map(stateless.map(({ name }) => [name, facts.initial.get(name)!]))
      const thread = await openTrainingThread({
        graph: { ...facts, initial, file: trainingFile },
        evaluationFile,
        input: graphs.input,
        threads: threads.inference,
      })
      const task = progress.task({
        label: `Training ${phase.name}`,
        total: phase.epochs * phase.stepsPerEpoch,
        unit: 'steps',
        from: state?.steps ?? 0,
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
          rowBytes: frozen ? values * 4 : images.bytes,
          rows: (set, wanted, epoch) => {
            if (frozen) return frozen.rows(set === 'select' ? 0 : 1 + (epoch % phase.views), wanted)
            return images.rows(wanted, set === 'train' && augment ? epoch : undefined)
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
      images,
      best: weightsOf(current),
      label,
      threads: threads.inference,
      state: state!,
      started,
      log,
      orient: request.orient ?? false,
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

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Fc7Error, throwIfAborted } from '../../base/errors.js'
import type { ProgressTask } from '../../base/progress.js'
import { createRandom } from '../../base/random.js'
import type { StepResults } from '../../training/runner.js'
import { lrAt } from '../plan/learning-rate.js'
import type { FinetunePlan, PhasePlan } from '../plan/plan.js'
import { type EpochRecord, readTensors, type State, type Weights, writeState, writeTensors } from './checkpoint.js'
import type { Rows } from './images.js'
import type { TrainingThread } from './training-thread.js'

/** Bytes of rows that go to the training thread at once. */
const maxRunBytes = 48 << 20
const maxStepsPerRun = 64
const evaluationRows = 32

export interface PhaseRun {
  readonly plan: FinetunePlan
  readonly number: number
  readonly phase: PhasePlan
  readonly folder: string
  readonly thread: TrainingThread
  readonly parts: readonly string[]
  readonly train: readonly number[]
  readonly select: readonly number[]
  readonly label: (image: number) => number
  readonly rowBytes: number
  rows(set: 'train' | 'select', images: readonly number[], epoch: number): Promise<Rows> | Rows
  /** Where to go on, if this phase was begun. */
  readonly state: State | undefined
  readonly history: readonly EpochRecord[]
  readonly planHash: string
  /** Steps between two checkpoints within an epoch; 0 for none. */
  readonly checkpointSteps: number
  readonly batch: number
  log(line: Readonly<Record<string, unknown>>): Promise<void>
  readonly task: ProgressTask
  readonly signal?: AbortSignal | undefined
}

export interface PhaseResult {
  readonly state: State
  readonly best: Weights
}

/** Steps that one run of the training graph makes: parameters are copied once a run. */
export function stepsPerRun(
  phase: Pick<PhasePlan, 'stepsPerEpoch' | 'rowsPerRun'>,
  { batch, rowBytes, checkpointSteps }: Pick<PhaseRun, 'batch' | 'rowBytes' | 'checkpointSteps'>,
): number {
  return Math.max(
    1,
    Math.min(
      phase.stepsPerEpoch,
      checkpointSteps > 0 ? checkpointSteps : phase.stepsPerEpoch,
      Math.floor(maxRunBytes / (batch * rowBytes)),
      Math.floor(phase.rowsPerRun / batch),
      maxStepsPerRun,
    ),
  )
}

/** Mean loss and accuracy of logits against labels; the loss of the head's own kind. */
export function scoreLogits(
  logits: Float32Array,
  labels: readonly number[],
  ok: Float32Array,
  outputs: number,
): { loss: number; correct: number; rows: number } {
  let loss = 0
  let correct = 0
  let rows = 0
  labels.forEach((label, row) => {
    if (ok[row] === 0) return
    rows++
    const z = logits.subarray(row * outputs, (row + 1) * outputs)
    if (outputs === 1) {
      const score = z[0]!
      loss += Math.max(score, 0) - score * label + Math.log1p(Math.exp(-Math.abs(score)))
      if (score > 0 === (label === 1)) correct++
      return
    }
    const top = Math.max(...z)
    loss += Math.log(z.reduce((sum, v) => sum + Math.exp(v - top), 0)) + top - z[label]!
    if (z.indexOf(top) === label) correct++
  })
  return { loss, correct, rows }
}

async function evaluate(run: PhaseRun): Promise<{ loss: number; accuracy: number }> {
  const outputs = run.plan.loss === 'sigmoid' ? 1 : run.plan.classes.length
  const sums = { loss: 0, correct: 0, rows: 0 }
  for (let from = 0; from < run.select.length; from += evaluationRows) {
    const wanted = run.select.slice(from, from + evaluationRows)
    const { data, ok } = await run.rows('select', wanted, 0)
    const logits = await run.thread.ask('evaluate', { data, rows: wanted.length })
    const part = scoreLogits(logits, wanted.map(run.label), ok, outputs)
    sums.loss += part.loss
    sums.correct += part.correct
    sums.rows += part.rows
  }
  if (sums.rows === 0) {
    throw new Fc7Error('FINETUNE_SPLIT', 'None of the images that choose the epoch could be read.', {
      hint: 'Replace broken images in the val split or in train; `fc7 extract` lists why each failed.',
    })
  }
  return { loss: sums.loss / sums.rows, accuracy: sums.correct / sums.rows }
}

/** The order of an epoch: a pure function of seed, phase and epoch. */
export const epochOrder = (run: Pick<PhaseRun, 'plan' | 'number' | 'train'>, epoch: number): number[] =>
  createRandom(run.plan.options.seed)
    .fork('order')
    .fork(run.number)
    .fork(epoch)
    .shuffled([...run.train])

const noSums: State['sums'] = { loss: 0, correct: 0, rows: 0, norms: [] }

interface Chunk {
  readonly from: number
  readonly steps: number
  readonly rows: Rows
  readonly images: readonly number[]
  readonly weights: Float32Array
}

function diverged(run: PhaseRun, results: StepResults, firstLoss: number | null): void {
  const wrong = results.loss.findIndex((loss) => !Number.isFinite(loss))
  const worst = Math.max(...results.loss)
  const limit = 20 * Math.max(firstLoss ?? 1, Math.log(run.plan.classes.length)) + 20
  if (wrong < 0 && results.norm.every(Number.isFinite) && worst < limit) return
  throw new Fc7Error(
    'FINETUNE_DIVERGED',
    `The training diverged: the loss is ${wrong < 0 ? worst.toFixed(1) : 'not a number'}, the gradient's norm ` +
      `${Math.max(...results.norm).toPrecision(3)}.`,
    { hint: `Use a smaller --lr (it was ${run.phase.lr}) or --clip-norm, or freeze more of the network.` },
  )
}

/** Trains one phase from its start or its last checkpoint, and keeps the weights of its best epoch. */
export async function runPhase(run: PhaseRun): Promise<PhaseResult> {
  const { plan, phase, thread, folder, batch, task, signal } = run
  const { options } = plan
  const perRun = stepsPerRun(phase, run)
  let state: State
  let bestWeights: Weights
  const snapshot = (state: boolean) => thread.ask('snapshot', { state })
  if (run.state) {
    state = run.state
    await thread.ask('restore', { values: await readTensors(folder, state.tensors), steps: state.steps })
    bestWeights = state.bestTensors ? await readTensors(folder, state.bestTensors) : await snapshot(false)
  } else {
    const before = await evaluate(run)
    bestWeights = await snapshot(false)
    // The optimizer's state is zeros, which a restored run begins with by itself.
    const tensors = await writeTensors(folder, `phase${run.number}-0`, bestWeights)
    state = {
      format: 1,
      plan: run.planHash,
      phase: run.number,
      epoch: 0,
      step: 0,
      steps: 0,
      sums: noSums,
      // What a later phase begins with must be beaten; a new layer's chance result need not be kept.
      best: run.number > 0 ? { epoch: 0, ...before } : null,
      firstLoss: null,
      history: [...run.history],
      tensors,
      bestTensors: tensors,
    }
    await writeState(folder, state)
  }
  const checkpoint = async (next: Omit<State, 'tensors'>): Promise<void> => {
    const old = state
    const tensors = await writeTensors(folder, `phase${run.number}-${next.steps}e${next.epoch}`, await snapshot(true))
    state = { ...next, tensors }
    await writeState(folder, state)
    const kept = new Set([tensors.file, next.bestTensors?.file])
    for (const file of [old.tensors.file, old.bestTensors?.file])
      if (file !== undefined && !kept.has(file)) await rm(join(folder, file), { force: true })
  }
  const patience = options.patience ?? Math.max(5, Math.ceil(phase.epochs / 3))
  while (state.epoch < phase.epochs) {
    const { epoch } = state
    if (state.best && epoch - state.best.epoch >= patience) break
    const order = epochOrder(run, epoch)
    const started = performance.now()
    const resumedFrom = state.step
    let sums = { ...state.sums }
    let { firstLoss } = state
    const load = async (from: number): Promise<Chunk> => {
      const steps = Math.min(perRun, phase.stepsPerEpoch - from)
      const images = Array.from({ length: steps * batch }, (_, i) => order[(from * batch + i) % order.length]!)
      const rows = await run.rows('train', images, epoch)
      const weights = rows.ok.map((ok, i) => (from * batch + i < order.length ? ok : 0))
      return { from, steps, rows, images, weights }
    }
    // Nobody may come for it any more: its failure must not go unheard.
    const begin = (from: number): Promise<Chunk> | undefined => {
      const chunk = from < phase.stepsPerEpoch ? load(from) : undefined
      chunk?.catch(() => {})
      return chunk
    }
    let next = begin(state.step)
    let sinceCheckpoint = 0
    while (next) {
      throwIfAborted(signal, 'Fine-tuning')
      const chunk: Chunk = await next
      const { from, steps, rows, images, weights } = chunk
      const after: number = from + steps
      // The next images are decoded while these train.
      next = begin(after)
      const done = epoch * phase.stepsPerEpoch + from
      const lr = Array.from({ length: steps }, (_, k) => lrAt(phase, options, done + k))
      const results: StepResults = await thread.ask(
        'run',
        {
          rows: { data: rows.data, labels: images.map(run.label), weights },
          steps: {
            index: Array.from({ length: steps * batch }, (_, i) => i),
            lr,
            seed: options.seed,
            epoch,
            images,
          },
        },
        { transfer: rows.data instanceof ArrayBuffer ? [rows.data] : [] },
      )
      firstLoss ??= results.loss[0]!
      diverged(run, results, firstLoss)
      for (let k = 0; k < steps; k++) {
        const counted = weights.subarray(k * batch, (k + 1) * batch).reduce((a, b) => a + b, 0)
        sums = {
          loss: sums.loss + results.loss[k]! * counted,
          correct: sums.correct + results.correct[k]!,
          rows: sums.rows + counted,
          norms: run.parts.map((_, i) => (sums.norms[i] ?? 0) + results.norms[k * run.parts.length + i]!),
        }
      }
      const seconds = (performance.now() - started) / 1000
      const imagesPerSecond = ((after - resumedFrom) * batch) / seconds
      task.update(
        done + steps,
        `loss ${(sums.loss / Math.max(1, sums.rows)).toFixed(4)}, accuracy ` +
          `${(sums.correct / Math.max(1, sums.rows)).toFixed(3)}, ${imagesPerSecond.toFixed(0)} images/s`,
      )
      sinceCheckpoint += steps
      if (run.checkpointSteps > 0 && next && sinceCheckpoint >= run.checkpointSteps) {
        const { tensors: _, ...rest } = state
        await checkpoint({ ...rest, step: after, steps: done + steps, sums, firstLoss })
        sinceCheckpoint = 0
      }
    }
    const selected = await evaluate(run)
    const seconds = (performance.now() - started) / 1000
    const record: EpochRecord = {
      phase: phase.name,
      epoch: epoch + 1,
      trainLoss: sums.loss / Math.max(1, sums.rows),
      trainAccuracy: sums.correct / Math.max(1, sums.rows),
      selectLoss: selected.loss,
      selectAccuracy: selected.accuracy,
      lr: lrAt(phase, options, (epoch + 1) * phase.stepsPerEpoch - 1),
      norms: Object.fromEntries(run.parts.map((part, i) => [part, (sums.norms[i] ?? 0) / phase.stepsPerEpoch])),
      // Of a resumed epoch, what was left of it.
      imagesPerSecond: (order.length - resumedFrom * batch) / seconds,
    }
    let { best, bestTensors } = state
    if (best === null || selected.loss < best.loss) {
      best = { epoch: epoch + 1, ...selected }
      bestWeights = await snapshot(false)
      bestTensors = await writeTensors(folder, `best${run.number}-${epoch + 1}`, bestWeights)
    }
    await checkpoint({
      ...state,
      epoch: epoch + 1,
      step: 0,
      steps: (epoch + 1) * phase.stepsPerEpoch,
      sums: noSums,
      best,
      bestTensors,
      firstLoss,
      history: [...state.history, record],
    })
    await run.log({ ...record, best: best.epoch, seconds })
  }
  return { state, best: bestWeights }
}

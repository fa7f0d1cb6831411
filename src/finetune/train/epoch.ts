import { Fc7Error, throwIfAborted } from '../../base/errors.js'
import { createRandom } from '../../base/random.js'
import type { StepResults } from '../../training/runner.js'
import { lrAt } from '../plan/learning-rate.js'
import type { PhasePlan } from '../plan/plan.js'
import type { State } from './checkpoint.js'
import type { Rows } from './images.js'
import type { PhaseCheckpoint } from './phase-checkpoint.js'
import type { PhaseRun } from './phase-run.js'

/** Bytes of rows that go to the training thread at once. */
const maxRunBytes = 48 << 20
const maxStepsPerRun = 64

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

/** The order of an epoch: a pure function of seed, phase and epoch. */
export const epochOrder = (run: Pick<PhaseRun, 'plan' | 'number' | 'train'>, epoch: number): number[] =>
  createRandom(run.plan.options.seed)
    .fork('order')
    .fork(run.number)
    .fork(epoch)
    .shuffled([...run.train])

/** Rows for some steps of an epoch, from step `from` on. */
interface StepRows {
  readonly from: number
  readonly steps: number
  readonly rows: Rows
  readonly images: readonly number[]
  /** 0 for an image that could not be read, and for the padding of the last batch. */
  readonly weights: Float32Array
}

/** @throws Fc7Error FINETUNE_DIVERGED for a loss that is no number, or far above that of a guess */
function refuseDivergence(run: PhaseRun, results: StepResults, firstLoss: number | null): void {
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

/** One epoch of a phase, from its first step or from where a checkpoint stands. */
export class Epoch {
  readonly #run: PhaseRun
  readonly #checkpoint: PhaseCheckpoint
  readonly #number: number
  readonly #order: readonly number[]
  readonly #stepsPerRun: number
  readonly #resumedFrom: number
  readonly #started = performance.now()
  #sums: State['sums']
  #firstLoss: number | null

  constructor(run: PhaseRun, checkpoint: PhaseCheckpoint) {
    const { epoch, step, sums, firstLoss } = checkpoint.state
    this.#run = run
    this.#checkpoint = checkpoint
    this.#number = epoch
    this.#order = epochOrder(run, epoch)
    this.#stepsPerRun = stepsPerRun(run.phase, run)
    this.#resumedFrom = step
    this.#sums = { ...sums }
    this.#firstLoss = firstLoss
  }

  /** Sums over the steps of the epoch so far. */
  get sums(): State['sums'] {
    return this.#sums
  }

  /** Loss of the phase's first step; null before it. */
  get firstLoss(): number | null {
    return this.#firstLoss
  }

  /** Images trained on since this run of the epoch began: of a resumed epoch, what was left of it. */
  get images(): number {
    return this.#order.length - this.#resumedFrom * this.#run.batch
  }

  get seconds(): number {
    return (performance.now() - this.#started) / 1000
  }

  /** @throws Fc7Error FINETUNE_DIVERGED; INTERRUPTED */
  async train(): Promise<void> {
    const { checkpointSteps, phase, signal } = this.#run
    let next = this.#load(this.#resumedFrom)
    let sinceCheckpoint = 0
    while (next) {
      throwIfAborted(signal, 'Fine-tuning')
      const rows: StepRows = await next
      const after: number = rows.from + rows.steps
      // The next images are decoded while these train.
      next = this.#load(after)
      this.#add(rows, await this.#step(rows))
      this.#show(after)
      sinceCheckpoint += rows.steps
      if (checkpointSteps > 0 && next && sinceCheckpoint >= checkpointSteps) {
        const steps = this.#number * phase.stepsPerEpoch + after
        await this.#checkpoint.write({ step: after, steps, sums: this.#sums, firstLoss: this.#firstLoss })
        sinceCheckpoint = 0
      }
    }
  }

  /** Rows from a step on; undefined at the end of the epoch. */
  #load(from: number): Promise<StepRows> | undefined {
    if (from >= this.#run.phase.stepsPerEpoch) return undefined
    const loading = this.#rows(from)
    // Nobody may wait for it any more: its failure must not go unhandled.
    loading.catch(() => {})
    return loading
  }

  async #rows(from: number): Promise<StepRows> {
    const { batch, phase } = this.#run
    const order = this.#order
    const steps = Math.min(this.#stepsPerRun, phase.stepsPerEpoch - from)
    const images = Array.from({ length: steps * batch }, (_, i) => order[(from * batch + i) % order.length]!)
    const rows = await this.#run.rows('train', images, this.#number)
    const weights = rows.ok.map((ok, i) => (from * batch + i < order.length ? ok : 0))
    return { from, steps, rows, images, weights }
  }

  #step({ from, steps, rows, images, weights }: StepRows): Promise<StepResults> {
    const { plan, phase, batch, thread, label } = this.#run
    const { options } = plan
    const done = this.#number * phase.stepsPerEpoch + from
    const lr = Array.from({ length: steps }, (_, k) => lrAt(phase, options, done + k))
    const index = Array.from({ length: steps * batch }, (_, i) => i)
    return thread.ask(
      'run',
      {
        rows: { data: rows.data, labels: images.map(label), weights },
        steps: { index, lr, seed: options.seed, epoch: this.#number, images },
      },
      { transfer: rows.data instanceof ArrayBuffer ? [rows.data] : [] },
    )
  }

  #add({ steps, weights }: StepRows, results: StepResults): void {
    const { parts, batch } = this.#run
    this.#firstLoss ??= results.loss[0]!
    refuseDivergence(this.#run, results, this.#firstLoss)
    for (let k = 0; k < steps; k++) {
      const counted = weights.subarray(k * batch, (k + 1) * batch).reduce((a, b) => a + b, 0)
      const { loss, correct, rows, norms } = this.#sums
      this.#sums = {
        loss: loss + results.loss[k]! * counted,
        correct: correct + results.correct[k]!,
        rows: rows + counted,
        norms: parts.map((_, i) => (norms[i] ?? 0) + results.norms[k * parts.length + i]!),
      }
    }
  }

  #show(after: number): void {
    const { batch, phase, task } = this.#run
    const { loss, correct, rows } = this.#sums
    const imagesPerSecond = ((after - this.#resumedFrom) * batch) / this.seconds
    task.update(
      this.#number * phase.stepsPerEpoch + after,
      `loss ${(loss / Math.max(1, rows)).toFixed(4)}, accuracy ` +
        `${((100 * correct) / Math.max(1, rows)).toFixed(1)} %, ${imagesPerSecond.toFixed(0)} images/s`,
    )
  }
}

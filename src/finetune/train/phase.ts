import { lrAt } from '../plan/learning-rate.js'
import type { EpochRecord, State, Weights } from './checkpoint.js'
import { Epoch } from './epoch.js'
import { PhaseCheckpoint } from './phase-checkpoint.js'
import type { PhaseRun } from './phase-run.js'
import { evaluate } from './select.js'

export interface PhaseResult {
  readonly state: State
  readonly best: Weights
}

/** Trains an epoch, measures it on the images that choose, and writes it down. */
async function runEpoch(run: PhaseRun, checkpoint: PhaseCheckpoint): Promise<void> {
  const { plan, phase, parts } = run
  const epoch = new Epoch(run, checkpoint)
  await epoch.train()
  const selected = await evaluate(run)
  const { seconds, sums, firstLoss } = epoch
  const number = checkpoint.state.epoch + 1
  const steps = number * phase.stepsPerEpoch
  const record: EpochRecord = {
    phase: phase.name,
    epoch: number,
    trainLoss: sums.loss / Math.max(1, sums.rows),
    trainAccuracy: sums.correct / Math.max(1, sums.rows),
    selectLoss: selected.loss,
    selectAccuracy: selected.accuracy,
    lr: lrAt(phase, plan.options, steps - 1),
    norms: Object.fromEntries(parts.map((part, i) => [part, (sums.norms[i] ?? 0) / phase.stepsPerEpoch])),
    imagesPerSecond: epoch.images / seconds,
  }
  const history = [...checkpoint.state.history, record]
  await checkpoint.endEpoch(selected, { epoch: number, steps, firstLoss, history })
  await run.log({ ...record, best: checkpoint.state.best!.epoch, seconds })
}

/**
 * Trains one phase from its start or its last checkpoint, and keeps the weights of its best epoch. It ends early when
 * no epoch has been better for `patience` epochs.
 *
 * @throws Fc7Error FINETUNE_DIVERGED, FINETUNE_SPLIT, CHECKPOINT_BROKEN; INTERRUPTED
 */
export async function runPhase(run: PhaseRun): Promise<PhaseResult> {
  const { plan, phase } = run
  const checkpoint = await PhaseCheckpoint.open(run)
  const patience = plan.options.patience ?? Math.max(5, Math.ceil(phase.epochs / 3))
  while (checkpoint.state.epoch < phase.epochs) {
    const { epoch, best } = checkpoint.state
    if (best && epoch - best.epoch >= patience) break
    await runEpoch(run, checkpoint)
  }
  return { state: checkpoint.state, best: checkpoint.best }
}

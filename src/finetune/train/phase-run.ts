import type { ProgressTask } from '../../base/progress.js'
import type { FinetunePlan, PhasePlan } from '../plan/plan.js'
import type { EpochRecord, State } from './checkpoint.js'
import type { Rows } from './images.js'
import type { TrainingThread } from './training-thread.js'

/** What the epochs of one phase work with. */
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

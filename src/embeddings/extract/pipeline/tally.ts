import type { ProgressTask } from '../../../base/progress.js'
import type { FinishedUnit } from '../../store/commit.js'

/** Counts images as their batches finish, shows them, and takes the times that a run's pace is measured by. */
export class ExtractionTally {
  images = 0
  readonly #task: ProgressTask | undefined
  readonly #sessions: number
  #failures = 0
  #batches = 0
  /** When every session had run its first batch, and how many images that took. */
  #warm: { readonly images: number; readonly at: number }
  #lastBatchAt: number

  constructor(options: { readonly sessions: number; readonly task?: ProgressTask | undefined }) {
    this.#task = options.task
    this.#sessions = options.sessions
    this.#lastBatchAt = performance.now()
    this.#warm = { images: 0, at: this.#lastBatchAt }
  }

  addBatch(units: readonly FinishedUnit[]): void {
    this.images += units.filter((unit) => unit.last).length
    this.#failures += units.filter((unit) => unit.first && !unit.decoded.ok).length
    this.#lastBatchAt = performance.now()
    if (++this.#batches <= this.#sessions) this.#warm = { images: this.images, at: this.#lastBatchAt }
    this.#task?.update(this.images, this.#failures > 0 ? `${this.#failures} failed` : '')
  }

  /** Images and seconds after every session's first batch. */
  get steady(): { readonly images: number; readonly seconds: number } {
    return { images: this.images - this.#warm.images, seconds: (this.#lastBatchAt - this.#warm.at) / 1000 }
  }
}

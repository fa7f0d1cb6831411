const ladder = [1, 2, 4, 8, 16, 32, 64, 128]

/** A larger batch must be this much faster to justify its memory and its longer tail. */
const gain = 1.03

export interface MeasuredBatch {
  readonly batch: number
  /** Images a second of one session while it had a core (where the system cannot tell: a second of wall time). */
  readonly rate: number
}

export interface BatchTunerOptions {
  /** Where to begin. Default 4. */
  readonly start?: number | undefined
  /** Default 32. */
  readonly max?: number | undefined
  /**
   * Sessions that run batches: the first run of each size lays out memory in each of them and is not counted. Default
   * 1.
   */
  readonly sessions?: number | undefined
}

/**
 * Finds the batch size that runs most images a second, on the first batches of the work itself: from the start size
 * upwards while that is faster, else downwards while that is no slower. Nothing is computed for the measurement alone,
 * and the values of a store do not depend on the batch.
 */
export class BatchTuner {
  readonly #sizes: readonly number[]
  readonly #runsToSkip: number
  readonly #runsToCount: number
  readonly #samples: number[] = []
  readonly #found: MeasuredBatch[] = []
  #skipped = 0
  #at: number
  #direction: 1 | -1 = 1
  #top: MeasuredBatch | undefined
  #done = false

  constructor({ start = 4, max = 32, sessions = 1 }: BatchTunerOptions = {}) {
    this.#sizes = ladder.filter((size) => size <= Math.max(1, max))
    this.#at = Math.max(
      0,
      this.#sizes.findLastIndex((size) => size <= start),
    )
    this.#runsToSkip = sessions
    this.#runsToCount = 2 * sessions + 1
  }

  /** The size of the next batch. */
  get size(): number {
    return this.#sizes[this.#at]!
  }

  /** Whether the measurement is over. */
  get settled(): boolean {
    return this.#done
  }

  get measured(): readonly MeasuredBatch[] {
    return this.#found
  }

  /** Takes note of a run; runs of another size than the one being measured tell nothing. */
  ran(rows: number, milliseconds: number): void {
    if (this.#done || rows !== this.size || !(milliseconds > 0)) return
    if (this.#skipped < this.#runsToSkip) {
      this.#skipped++
      return
    }
    this.#samples.push((1000 * rows) / milliseconds)
    if (this.#samples.length === this.#runsToCount) this.#judge()
  }

  #judge(): void {
    const rates = this.#samples.splice(0).sort((a, b) => a - b)
    this.#skipped = 0
    const result = { batch: this.size, rate: rates[rates.length >> 1]! }
    this.#found.push(result)
    const next = this.#step(result)
    if (next === undefined) {
      this.#done = true
      this.#at = this.#sizes.indexOf(this.#top!.batch)
    } else this.#at = next
  }

  /** Place of the size to try after this result; undefined when nothing better is to be expected. */
  #step(result: MeasuredBatch): number | undefined {
    const top = this.#top
    const upwards = this.#direction === 1
    const better = !top || (upwards ? result.rate > top.rate * gain : result.rate >= top.rate)
    if (better) this.#top = result
    const place = this.#sizes.indexOf(this.#top!.batch)
    if (better && upwards && place + 1 < this.#sizes.length) return place + 1
    // Larger than the start was not faster (or there is none): smaller ones, but not back over sizes that were passed.
    const turning = upwards && place === this.#sizes.indexOf(this.#found[0]!.batch)
    if (turning) this.#direction = -1
    return (turning || (better && !upwards)) && place > 0 ? place - 1 : undefined
  }
}

export type Stage = 'decode' | 'inference' | 'disk'

/** Milliseconds; see {@link Stages}. */
export type WaitedMs = Record<Stage, number>

/**
 * Wall time by what held the others up, from who is at work at each moment:
 *
 * - `decode`: a session had nothing to run while images were being decoded (half of the time, if one of two sessions
 *   was idle);
 * - `inference`: decoding stood still because every buffer was full or the last images were being run;
 * - `disk`: both stood still while a shard was being written.
 */
export class Stages {
  readonly waitedMs: WaitedMs = { decode: 0, inference: 0, disk: 0 }
  readonly #active: Record<Stage, number> = { decode: 0, inference: 0, disk: 0 }
  #last: number

  readonly #sessions: number
  readonly #now: () => number

  /** @param sessions how many batches can be computed at once */
  constructor(sessions = 1, now: () => number = () => performance.now()) {
    this.#sessions = sessions
    this.#now = now
    this.#last = now()
  }

  #tick(): void {
    const time = this.#now()
    const passed = time - this.#last
    this.#last = time
    const { decode, inference, disk } = this.#active
    if (decode > 0) this.waitedMs.decode += passed * (1 - Math.min(inference, this.#sessions) / this.#sessions)
    else if (inference > 0) this.waitedMs.inference += passed
    else if (disk > 0) this.waitedMs.disk += passed
  }

  get waitedSeconds(): { readonly inference: number; readonly decode: number; readonly disk: number } {
    const { inference, decode, disk } = this.waitedMs
    return { inference: inference / 1000, decode: decode / 1000, disk: disk / 1000 }
  }

  /** Counts `work` as one more at work in its stage until it settles. */
  async during<T>(stage: Stage, work: () => Promise<T>): Promise<T> {
    this.#tick()
    this.#active[stage]++
    try {
      return await work()
    } finally {
      this.#tick()
      this.#active[stage]--
    }
  }
}

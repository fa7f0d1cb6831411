/** A semaphore whose permits are things: a fixed number of them, lent one at a time, first come first served. */
export class Slots<T> {
  readonly #free: T[]
  readonly #queue: ((slot: T) => void)[] = []

  constructor(slots: readonly T[]) {
    this.#free = [...slots]
  }

  async acquire(): Promise<T> {
    const slot = this.#free.pop()
    if (slot !== undefined) return slot
    return new Promise<T>((resolve) => this.#queue.push(resolve))
  }

  release(slot: T): void {
    const next = this.#queue.shift()
    if (next) next(slot)
    else this.#free.push(slot)
  }

  /** Runs `work` with a slot, which is free again when it settles. */
  async with<R>(work: (slot: T) => Promise<R>): Promise<R> {
    const slot = await this.acquire()
    try {
      return await work(slot)
    } finally {
      this.release(slot)
    }
  }
}

/** A fixed number of things that are lent and given back; whoever finds none waits in line. */
export class Slots<T> {
  readonly #free: T[]
  readonly #line: ((slot: T) => void)[] = []

  constructor(slots: readonly T[]) {
    this.#free = [...slots]
  }

  async take(): Promise<T> {
    const slot = this.#free.pop()
    if (slot !== undefined) return slot
    return new Promise<T>((resolve) => this.#line.push(resolve))
  }

  give(slot: T): void {
    const next = this.#line.shift()
    if (next) next(slot)
    else this.#free.push(slot)
  }
}

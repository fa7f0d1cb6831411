/** A fixed number of things that are lent and given back; whoever finds none waits in line. */
export class Seats<T> {
  readonly #free: T[]
  readonly #line: ((seat: T) => void)[] = []

  constructor(seats: readonly T[]) {
    this.#free = [...seats]
  }

  async take(): Promise<T> {
    const seat = this.#free.pop()
    if (seat !== undefined) return seat
    return new Promise<T>((resolve) => this.#line.push(resolve))
  }

  give(seat: T): void {
    const next = this.#line.shift()
    if (next) next(seat)
    else this.#free.push(seat)
  }
}

/** A fixed number of things that are lent and given back; whoever finds none waits in line. */
export class Seats<T> {
  private readonly free: T[]
  private readonly line: ((seat: T) => void)[] = []
  /** Milliseconds that callers have waited, in all. */
  waitedMs = 0

  constructor(seats: readonly T[]) {
    this.free = [...seats]
  }

  async take(): Promise<T> {
    const seat = this.free.pop()
    if (seat !== undefined) return seat
    const started = performance.now()
    const got = await new Promise<T>((resolve) => this.line.push(resolve))
    this.waitedMs += performance.now() - started
    return got
  }

  give(seat: T): void {
    const next = this.line.shift()
    if (next) next(seat)
    else this.free.push(seat)
  }
}

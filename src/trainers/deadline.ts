import { Fc7Error, setCheckpoint } from '../base/errors.js'

export interface DeadlineOptions {
  /** Another signal that ends the work, by its own reason. */
  readonly signal?: AbortSignal | undefined
  /** What is limited, to begin the error's sentence. */
  readonly what: string
  /** Milliseconds on a clock that never goes back. Default `performance.now`. */
  readonly now?: (() => number) | undefined
}

export interface Deadline {
  /** Fires with a TIME_LIMIT error as its reason when the time is up, or as the outer signal does. */
  readonly signal: AbortSignal
  end(): void
}

/**
 * A signal that fires when the outer one does or `seconds` have passed. A timer fires it where the event loop has
 * turns, a checkpoint (`throwIfAborted`) where a loop keeps the thread. Both set one latch: whichever is first gives
 * the reason.
 *
 * @throws Fc7Error USAGE_TIME_LIMIT for a limit that is no positive number
 */
export function deadline(seconds: number, { signal, what, now = () => performance.now() }: DeadlineOptions): Deadline {
  if (!(seconds > 0 && Number.isFinite(seconds))) {
    throw new Fc7Error('USAGE_TIME_LIMIT', `A time limit of ${seconds} seconds makes no sense.`, {
      hint: 'Give a positive number of seconds.',
    })
  }
  const latch = new AbortController()
  const endMs = now() + 1000 * seconds
  const reason = new Fc7Error('TIME_LIMIT', `${what} was not finished after ${seconds} s.`, {
    hint: 'Allow more time, choose a faster trainer, or train on fewer rows or columns (pca:<n>).',
  })
  // Longer waits than this overflow Node's timers and would fire at once.
  const timer = setTimeout(() => latch.abort(reason), Math.min(1000 * seconds, 2 ** 31 - 1))
  timer.unref()
  const joined = signal ? AbortSignal.any([signal, latch.signal]) : latch.signal
  setCheckpoint(joined, () => {
    if (now() >= endMs) latch.abort(reason)
  })
  return { signal: joined, end: () => clearTimeout(timer) }
}

import { Fc7Error, InterruptedError } from '../base/errors.js'

/** A signal with a clock. */
export interface Deadline {
  readonly signal: AbortSignal
  /** Turns the interruption that a passed deadline causes into an error that says so. Other errors stay. */
  explain(error: unknown): unknown
  end(): void
}

/**
 * A signal that fires when `outer` does or `seconds` have passed. Whoever asks `aborted` reads the clock, so a loop
 * that never gives the event loop a turn is stopped too; a timer tells those who listen.
 *
 * @throws Fc7Error USAGE_TIME_LIMIT for a limit that is no positive number
 */
export function deadline(seconds: number, outer: AbortSignal | undefined, what: string): Deadline {
  if (!(seconds > 0 && Number.isFinite(seconds))) {
    throw new Fc7Error('USAGE_TIME_LIMIT', `A time limit of ${seconds} seconds makes no sense.`, {
      hint: 'Give a positive number of seconds.',
    })
  }
  const controller = new AbortController()
  const end = performance.now() + 1000 * seconds
  const passed = (): boolean => performance.now() >= end
  const abort = (): void => controller.abort()
  // Longer waits than this overflow Node's timers and would fire at once.
  const timer = setTimeout(abort, Math.min(1000 * seconds, 2 ** 31 - 1))
  timer.unref()
  outer?.addEventListener('abort', abort, { once: true })
  const { signal } = controller
  const own = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted')?.get
  Object.defineProperty(signal, 'aborted', {
    get: () => outer?.aborted === true || passed() || own?.call(signal) === true,
  })
  return {
    signal,
    explain: (error) =>
      error instanceof InterruptedError && !outer?.aborted && passed()
        ? new Fc7Error('TIME_LIMIT', `${what} was not finished after ${seconds} s.`, {
            hint: 'Allow more time, choose a faster trainer, or train on fewer rows or columns (pca:<n>).',
            cause: error,
          })
        : error,
    end() {
      clearTimeout(timer)
      outer?.removeEventListener('abort', abort)
    },
  }
}

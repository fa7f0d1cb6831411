import { throwIfAborted } from './errors.js'

/** Milliseconds of work after which others get a turn. */
export const turnMs = 20

/**
 * For work that keeps its thread: to be called between steps. Gives the event loop a turn where it has waited for
 * `everyMs` milliseconds (0: at every call), so that timers, messages and signals are heard.
 *
 * @throws InterruptedError from the returned function, once the signal has fired
 */
export function turnTaker(signal: AbortSignal | undefined, what: string, everyMs = turnMs): () => Promise<void> {
  let last = performance.now()
  return async () => {
    if (performance.now() - last >= everyMs) {
      await new Promise((resolve) => setImmediate(resolve))
      last = performance.now()
    }
    throwIfAborted(signal, what)
  }
}

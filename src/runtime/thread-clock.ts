import { readFileSync } from 'node:fs'

/**
 * Milliseconds that the calling thread has run on a core, where the system tells (Linux); undefined elsewhere. Unlike
 * wall time it does not grow while other threads have the core.
 */
export function threadCpuMs(): number | undefined {
  try {
    const nanoseconds = Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0])
    return nanoseconds > 0 ? nanoseconds / 1e6 : undefined
  } catch {
    return undefined
  }
}

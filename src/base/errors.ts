/** What an {@link Fc7Error} may carry besides its sentence. */
export interface Fc7ErrorOptions {
  /** One sentence saying what to do about it. */
  readonly hint?: string | undefined
  readonly cause?: unknown | undefined
}

/**
 * The one error fc7 throws at its users: a stable `code` for programs, a sentence that names the file or option, and a
 * `hint` saying what to do. The command line prints the last two and exits 1, or 2 when the code begins with `USAGE`.
 */
export class Fc7Error extends Error {
  readonly code: string
  readonly hint: string

  constructor(code: string, message: string, options: Fc7ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'Fc7Error'
    this.code = code
    this.hint = options.hint ?? ''
  }
}

/** Thrown when an AbortSignal (Ctrl-C, a time limit) stops work between two whole steps. */
export class InterruptedError extends Fc7Error {
  constructor(what: string, hint = 'What is written is whole; the same command resumes.') {
    super('INTERRUPTED', `${what} was interrupted.`, { hint })
    this.name = 'InterruptedError'
  }
}

/** What to look at before a signal is asked: a clock, where a loop leaves timers no turn (trainers/deadline.ts). */
const checkpoints = new WeakMap<AbortSignal, () => void>()

/** Has `look` called at every {@link isAborted} and {@link throwIfAborted} of the signal. */
export const setCheckpoint = (signal: AbortSignal, look: () => void): void => void checkpoints.set(signal, look)

/** Whether the signal has fired, or must fire now. */
export function isAborted(signal: AbortSignal | undefined): boolean {
  if (signal === undefined) return false
  if (!signal.aborted) checkpoints.get(signal)?.()
  return signal.aborted
}

/** The error of a signal that fired: its reason where that is one of ours, else that `what` was interrupted. */
export const interruption = (signal: AbortSignal | undefined, what: string): Fc7Error =>
  signal?.reason instanceof Fc7Error ? signal.reason : new InterruptedError(what)

/** Throws {@link interruption} if the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (isAborted(signal)) throw interruption(signal, what)
}

/**
 * The system's code of a Node error (`ENOENT`, `ENOSPC` …), or undefined. Works across realms, where `instanceof` does
 * not.
 */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown | undefined } | null | undefined)?.code
  return typeof code === 'string' ? code : undefined
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  const message = (error as { message?: unknown | undefined } | null | undefined)?.message
  return typeof message === 'string' ? message : String(error)
}

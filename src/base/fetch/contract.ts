import type { ZodType } from 'zod'
import type { Progress } from '../progress.js'

/** How long a fetch waits and how often it tries; the defaults suit people, tests make them small. */
export interface Patience {
  /** Milliseconds without a byte after which a connection counts as stalled. */
  readonly stallMs: number
  /** Tries in a row without progress before a source is given up. */
  readonly attempts: number
  /** First pause between two tries, in milliseconds; it doubles each time. */
  readonly backoffMs: number
  /** Milliseconds between two looks at another process's lock. */
  readonly lockPollMs: number
  /** Milliseconds without a sign of life after which another process's lock is taken over. */
  readonly lockStaleMs: number
}

export const defaultPatience: Patience = {
  stallMs: 30_000,
  attempts: 5,
  backoffMs: 500,
  lockPollMs: 250,
  lockStaleMs: 30_000,
}

export interface FetchOptions {
  /** Forbids the network: what is not at hand is an error that says what to fetch by hand and where to put it. */
  readonly offline?: boolean | undefined
  readonly progress?: Progress | undefined
  readonly signal?: AbortSignal | undefined
  /** What relative paths of `file` sources are relative to; default the working folder. */
  readonly baseFolder?: string | undefined
  readonly patience?: Partial<Patience> | undefined
}

/** What every plugin gets: the options with nothing left open. */
export interface FetchContext {
  readonly offline: boolean
  readonly progress: Progress
  readonly signal: AbortSignal | undefined
  readonly baseFolder: string
  readonly patience: Patience
}

export interface Fetched {
  /** The verified file, or the folder of a source of several files. */
  readonly path: string
  /** True when it was there already and nothing was fetched. */
  readonly reused: boolean
}

/**
 * Where bytes come from. Each plugin is one file, listed in the registry. `S` is its description as it stands in a
 * card, distinguished by `kind`.
 */
export interface SourcePlugin<S extends { readonly kind: string }> {
  readonly kind: S['kind']
  readonly schema: ZodType<S>
  /** The source in a few words, for messages: an address, a package, a path. */
  title(source: S): string
  /** What is at the destination if it is there and its hashes check; otherwise undefined. Never touches the network. */
  whole(source: S, destination: string, context: FetchContext): Promise<Fetched | undefined>
  /**
   * Fetches the source to the destination, which is not whole; the caller holds the destination's lock. Nothing gets
   * its final name before its hash has checked. Throws Fc7Error, OFFLINE where the network would be needed and is
   * forbidden.
   */
  fetch(source: S, destination: string, context: FetchContext): Promise<Fetched>
}

import { cacheFolder } from '../../base/cache.js'
import { throwIfAborted } from '../../base/errors.js'
import { type Progress, silentProgress } from '../../base/progress.js'

/** What every function of the library takes besides its own options. */
export interface CommonOptions {
  /** Where backbones, data sets and stores are kept. Default: FC7_CACHE, XDG_CACHE_HOME/fc7, or the platform's own. */
  readonly cacheFolder?: string | undefined
  /** Forbids the network. Default: FC7_OFFLINE=1. */
  readonly offline?: boolean | undefined
  /** Every random choice is drawn from it. Default 0. */
  readonly seed?: number | undefined
  /** Default: silent. */
  readonly progress?: Progress | undefined
  /** Stops the work within a second; what is written is whole, and the same call resumes. */
  readonly signal?: AbortSignal | undefined
}

/** {@link CommonOptions} with their defaults. */
export interface Context {
  readonly cacheFolder: string
  readonly offline: boolean
  readonly seed: number
  readonly progress: Progress
  readonly signal: AbortSignal | undefined
}

/**
 * The options with their defaults.
 *
 * @throws InterruptedError where the signal has fired before anything began
 */
export function contextOf(options: CommonOptions): Context {
  throwIfAborted(options.signal, 'The call')
  return {
    cacheFolder: cacheFolder(options.cacheFolder),
    offline: options.offline ?? process.env.FC7_OFFLINE === '1',
    seed: options.seed ?? 0,
    progress: options.progress ?? silentProgress,
    signal: options.signal,
  }
}

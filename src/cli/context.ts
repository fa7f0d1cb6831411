import type { Context } from '../api/shared/context.js'
import { cacheFolder } from '../base/cache.js'
import { quietProgress, terminalProgress } from './terminal.js'

/** Options that every command takes. */
export interface GlobalOptions {
  readonly json: boolean
  readonly quiet: boolean
  readonly debug: boolean
  readonly seed: number
  readonly cache: string | undefined
  readonly offline: boolean
}

/** What a command works with: its options resolved, and where its words go. */
export interface CommandContext extends Context {
  readonly json: boolean
  /** Fires at Ctrl-C. */
  readonly signal: AbortSignal
  /** The result: one JSON document on stdout under `--json`, else the text. */
  result(value: unknown, text: string): void
}

export function createContext(options: GlobalOptions, signal: AbortSignal): CommandContext {
  return {
    json: options.json,
    seed: options.seed,
    cacheFolder: cacheFolder(options.cache),
    offline: options.offline || process.env.FC7_OFFLINE === '1',
    progress: options.quiet ? quietProgress : terminalProgress(process.stderr),
    signal,
    result(value, text) {
      process.stdout.write(options.json ? `${JSON.stringify(value, null, 2)}\n` : text === '' ? '' : `${text}\n`)
    },
  }
}

import { z } from 'zod'
import { Fc7Error, messageOf } from '../errors.js'
import { silentProgress } from '../progress.js'
import { defaultPatience, type FetchContext, type Fetched, type FetchOptions, type SourcePlugin } from './contract.js'
import { file, fileSourceSchema } from './file.js'
import { withLock } from './lock.js'
import { npm } from './npm/npm.js'
import { npmSourceSchema } from './npm/npm-source.js'
import { url } from './url.js'
import { urlSourceSchema } from './url-source.js'

export type { Fetched, FetchOptions, Patience, SourcePlugin } from './contract.js'
export { withLock } from './lock.js'

/** A source as cards write it. */
export const sourceSchema = z.discriminatedUnion('kind', [urlSourceSchema, npmSourceSchema, fileSourceSchema])
export type Source = z.infer<typeof sourceSchema>

/** Every kind of source there is. */
export const sourcePlugins: readonly SourcePlugin<Source>[] = [url, npm, file] as unknown as SourcePlugin<Source>[]

function pluginOf(source: Source): SourcePlugin<Source> {
  const plugin = sourcePlugins.find((candidate) => candidate.kind === source.kind)
  if (!plugin) throw new Fc7Error('SOURCE_UNKNOWN', `There is no kind of source "${source.kind}".`)
  return plugin
}

/** The options with nothing left open. */
export function contextOf(options: FetchOptions): FetchContext {
  return {
    offline: options.offline ?? false,
    progress: options.progress ?? silentProgress,
    signal: options.signal,
    baseFolder: options.baseFolder ?? process.cwd(),
    patience: { ...defaultPatience, ...options.patience },
  }
}

/** The source in a few words: an address, `package@version`, or a path. */
export function titleOfSource(source: Source): string {
  return pluginOf(source).title(source)
}

/** What is at the destination if it is whole (hashes checked), without touching the network. */
export async function findFetched(
  source: Source,
  destination: string,
  options: FetchOptions = {},
): Promise<Fetched | undefined> {
  const plugin = pluginOf(source)
  return plugin.whole(source, destination, contextOf(options))
}

/**
 * Fetches a source to `destination` (a file for `url`, a folder for `npm`; a `file` source is used where it lies)
 * unless it is there already, whole. Hashes are checked before anything has its final name. Processes that fetch the
 * same destination take turns.
 *
 * @throws Fc7Error OFFLINE, HASH_MISMATCH, SIZE_MISMATCH, FETCH_STATUS, FETCH_NETWORK, REDIRECT_REFUSED,
 * SOURCE_MISSING,
 *   NPM_*, WRITE_*, INTERRUPTED
 */
export async function fetchSource(source: Source, destination: string, options: FetchOptions = {}): Promise<Fetched> {
  const plugin = pluginOf(source)
  const context = contextOf(options)
  const found = await plugin.whole(source, destination, context)
  if (found) return found
  if (source.kind === 'file') return plugin.fetch(source, destination, context)
  return withLock(
    destination,
    context,
    async () => (await plugin.whole(source, destination, context)) ?? plugin.fetch(source, destination, context),
  )
}

/**
 * Tries sources in order until one works. `destination` may depend on the source.
 *
 * @throws Fc7Error FETCH_FAILED (OFFLINE if that stopped every source) with every failure; INTERRUPTED and WRITE_* at
 * once
 */
export async function fetchFirst(
  sources: readonly Source[],
  destination: string | ((source: Source) => string),
  options: FetchOptions = {},
): Promise<Fetched & { readonly source: Source }> {
  const failures: Fc7Error[] = []
  for (const source of sources) {
    try {
      const place = typeof destination === 'string' ? destination : destination(source)
      return { ...(await fetchSource(source, place, options)), source }
    } catch (error) {
      if (!(error instanceof Fc7Error)) throw error
      if (error.code === 'INTERRUPTED' || error.code.startsWith('WRITE_')) throw error
      failures.push(error)
    }
  }
  const [only] = failures
  if (failures.length === 1 && only) throw only
  if (!only) throw new Fc7Error('FETCH_FAILED', 'The card names no source.', { hint: 'Add one to the card.' })
  // The offline hint tells what to fetch by hand, which helps most.
  const offline = failures.find((failure) => failure.code === 'OFFLINE')
  throw new Fc7Error(
    offline ? 'OFFLINE' : 'FETCH_FAILED',
    `None of ${failures.length} sources worked: ${failures.map((failure) => messageOf(failure)).join(' ')}`,
    { hint: (offline ?? only).hint, cause: only },
  )
}

import { rm, stat } from 'node:fs/promises'
import { Fc7Error } from '../errors.js'
import { sha256File } from '../files.js'
import type { SourcePlugin } from './contract.js'
import { type UrlSource, urlSourceSchema } from './url-source.js'

/** One file over https or http, pinned by its sha256. */
export const url: SourcePlugin<UrlSource> = {
  kind: 'url',
  schema: urlSourceSchema,
  title: (source) => source.url,
  async whole(source, destination, context) {
    const found = await stat(destination).catch(() => undefined)
    if (!found?.isFile()) return undefined
    if (source.bytes !== undefined && found.size !== source.bytes) return undefined
    return (await sha256File(destination, context.signal)) === source.sha256
      ? { path: destination, reused: true }
      : undefined
  },
  async fetch(source, destination, context) {
    const found = await stat(destination).catch(() => undefined)
    if (found && !found.isFile()) {
      throw new Fc7Error(
        'DESTINATION_TAKEN',
        `${destination} should become a file, but something else has that name.`,
        {
          hint: 'Move it away, or choose another cache folder with --cache.',
        },
      )
    }
    if (context.offline) {
      const wrong = found ? ' (the file that is there now is another one, or is damaged)' : ''
      throw new Fc7Error('OFFLINE', `${source.url} is needed and the network is switched off${wrong}.`, {
        hint:
          `Fetch it elsewhere, save it as ${destination} (sha256 ${source.sha256}), ` +
          'and run the same command again.',
      })
    }
    if (found) {
      context.progress.say(`${destination} is not the file that the card describes; it is fetched again.`)
      await rm(destination)
    }
    // Most commands fetch nothing: the client is loaded when something is.
    const { download } = await import('./download.js')
    await download(source, destination, context)
    return { path: destination, reused: false }
  },
}

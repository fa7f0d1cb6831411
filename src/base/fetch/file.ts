import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { z } from 'zod'
import { Fc7Error } from '../errors.js'
import { sha256File } from '../files.js'
import type { SourcePlugin } from './contract.js'

export const fileSourceSchema = z.strictObject({
  kind: z.literal('file'),
  /** Absolute, or relative to the card's folder. */
  path: z.string().min(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
})
export type FileSource = z.infer<typeof fileSourceSchema>

/** A file on this machine. It is used where it lies; nothing is copied. */
export const file: SourcePlugin<FileSource> = {
  kind: 'file',
  schema: fileSourceSchema,
  title: (source) => source.path,
  async whole(source, _destination, context) {
    const path = resolve(context.baseFolder, source.path)
    const found = await stat(path).catch(() => undefined)
    if (!found?.isFile()) return undefined
    return (await sha256File(path, context.signal)) === source.sha256 ? { path, reused: true } : undefined
  },
  async fetch(source, _destination, context) {
    const path = resolve(context.baseFolder, source.path)
    const found = await stat(path).catch(() => undefined)
    if (!found?.isFile()) {
      throw new Fc7Error('SOURCE_MISSING', `${path} does not exist or is no file.`, {
        hint: 'Correct the path in the card, or put the file there.',
      })
    }
    const actual = await sha256File(path, context.signal)
    if (actual !== source.sha256) {
      throw new Fc7Error('HASH_MISMATCH', `${path} has sha256 ${actual}; the card expects ${source.sha256}.`, {
        hint: 'It is another file than the card means, or it is damaged: get it again, or correct the card.',
      })
    }
    return { path, reused: true }
  },
}

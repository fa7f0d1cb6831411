import { createHash, randomBytes } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { access, type FileHandle, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { ZodType } from 'zod'
import { Fc7Error, messageOf, systemCode } from './errors.js'

/** A name beside `path` that no reader mistakes for it: `.<name>.<random>.tmp`. */
export function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
}

/** Whether a bare file name is one that {@link temporaryName} made. */
export const isTemporaryName = (name: string): boolean => /^\..+\.[0-9a-f]{12}\.tmp$/.test(name)

/** Turns a failed write into a sentence that says what to do (disk full, read-only, no permission). */
export function explainWriteError(error: unknown, path: string): Error {
  const code = systemCode(error)
  const hints: Record<string, [string, string]> = {
    ENOSPC: [`The disk is full while writing ${path}.`, 'Free some space and run the same command again; it resumes.'],
    EDQUOT: [
      `The disk quota is used up while writing ${path}.`,
      'Free some space and run the same command again; it resumes.',
    ],
    EROFS: [`${path} is on a read-only file system.`, 'Choose another folder.'],
    EACCES: [`No permission to write ${path}.`, 'Choose another folder or change its permissions.'],
    EPERM: [`No permission to write ${path}.`, 'Choose another folder or change its permissions.'],
    ENOTDIR: [`A part of the path ${path} is a file, not a folder.`, 'Choose another folder.'],
    EEXIST: [`A file stands where the folder ${path} should be.`, 'Choose another folder.'],
  }
  const known = code === undefined ? undefined : hints[code]
  if (known) return new Fc7Error(`WRITE_${code}`, known[0], { hint: known[1], cause: error })
  return error instanceof Error ? error : new Error(messageOf(error))
}

/** Makes a rename durable: fsync of the folder (not possible on Windows, where it is left out). */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Makes a folder and those above it. On a read-only file system Node reports ENOENT, so the nearest folder that exists
 * is asked why it cannot be written to.
 *
 * @throws Fc7Error WRITE_…
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true })
  } catch (error) {
    let cause: unknown = error
    for (
      let above = dirname(resolve(path));
      systemCode(cause) === 'ENOENT' && above !== dirname(above);
      above = dirname(above)
    ) {
      cause = await access(above, constants.W_OK).then(
        () => 'writable',
        (reason) => reason,
      )
    }
    throw explainWriteError(cause === 'writable' ? error : cause, path)
  }
}

/**
 * Writes a file so that nothing partial ever has its final name: temporary name in the same folder, fsync, rename,
 * fsync of the folder. `write` gets the open handle; whatever it throws removes the temporary file.
 */
export async function writeFileWith(path: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  const temporary = temporaryName(path)
  try {
    await makeFolder(dirname(path))
    const handle = await open(temporary, 'wx')
    try {
      await write(handle)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
    await syncFolder(dirname(path))
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw error instanceof Fc7Error ? error : explainWriteError(error, path)
  }
}

/** {@link writeFileWith} for content that is at hand. */
export async function writeFileAtomic(
  path: string,
  content: string | Uint8Array | readonly Uint8Array[],
): Promise<void> {
  await writeFileWith(path, async (handle) => {
    const parts = typeof content === 'string' || content instanceof Uint8Array ? [content] : content
    for (const part of parts) await handle.writeFile(part)
  })
}

/** Pretty JSON with a final newline, written whole. */
export async function writeJsonAtomic(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`)
}

/** Lower-case hex sha256 of bytes or text. */
export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

/** Lower-case hex sha256 of a file, streamed. */
export async function sha256File(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/**
 * Parses a JSON file of at most `maxBytes`; a missing file, one too large or broken JSON is an {@link Fc7Error} naming
 * `what`.
 */
export async function readJson(path: string, what: string, maxBytes = 64 << 20): Promise<unknown> {
  let text: string
  try {
    const handle = await open(path, 'r')
    try {
      const { size } = await handle.stat()
      if (size > maxBytes) {
        throw new Fc7Error('JSON_TOO_LARGE', `${what} ${path} has ${size} bytes, more than the ${maxBytes} allowed.`, {
          hint: 'Is it the right file?',
        })
      }
      text = await handle.readFile('utf8')
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (error instanceof Fc7Error) throw error
    throw new Fc7Error('FILE_UNREADABLE', `${what} ${path} cannot be read: ${messageOf(error)}.`, {
      hint: 'Check the path.',
      cause: error,
    })
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Fc7Error('JSON_BROKEN', `${what} ${path} is not JSON: ${messageOf(error)}.`, {
      hint: 'Is it the right file, and whole?',
      cause: error,
    })
  }
}

/** The whole file, or undefined where there is none. */
export async function readIfPresent(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/**
 * A JSON note that only saves work (what lies beside it is whole): absent, unreadable or of another shape, it counts as
 * not there.
 */
export async function readNote<T>(path: string, schema: ZodType<T>): Promise<T | undefined> {
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return undefined
  }
}

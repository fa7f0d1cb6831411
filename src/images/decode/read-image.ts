import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { Fc7Error, messageOf, systemCode } from '../../base/errors.js'
import { maxImageBytes, tooLarge } from './decode-errors.js'

const sentences: Record<string, string> = {
  ENOENT: 'does not exist (or is a link to nothing)',
  ELOOP: 'is a link that leads back to itself',
  EACCES: 'may not be read (no permission)',
  EPERM: 'may not be read (no permission)',
  ENOTDIR: 'lies under something that is not a folder',
  ENAMETOOLONG: 'has too long a name',
  ENXIO: 'is not a regular file',
}

function unreadable(path: string | Buffer, error: unknown): Fc7Error {
  const code = systemCode(error) ?? 'unknown'
  const sentence = sentences[code] ?? `cannot be read (${messageOf(error)})`
  return new Fc7Error('IMAGE_UNREADABLE', `${String(path)} ${sentence}.`, {
    hint: code === 'EACCES' ? 'Give yourself permission to read it.' : 'Check the path.',
    cause: error,
  })
}

/**
 * Reads an image's file, whose type and size are checked on the open handle before a byte is read. Devices and pipes
 * are opened without blocking, so that nothing hangs.
 *
 * @param range the part of an archive that is the image; default the whole file
 * @param name what errors call the image; default the path
 * @throws Fc7Error IMAGE_UNREADABLE, IMAGE_NOT_A_FILE, IMAGE_TOO_LARGE, IMAGE_EMPTY
 */
export async function readImageFile(
  path: string | Buffer,
  range?: { readonly offset: number; readonly length: number } | undefined,
  name = String(path),
): Promise<Uint8Array> {
  const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch((error: unknown) => {
    throw unreadable(path, error)
  })
  try {
    const stats = await handle.stat()
    if (!stats.isFile()) {
      throw new Fc7Error(
        'IMAGE_NOT_A_FILE',
        `${String(path)} is a ${stats.isDirectory() ? 'folder' : 'special file'}.`,
        {
          hint: 'Only regular files can be images.',
        },
      )
    }
    const offset = range?.offset ?? 0
    const size = range?.length ?? stats.size
    if (size > maxImageBytes) throw tooLarge(name, size)
    if (size === 0) {
      throw new Fc7Error('IMAGE_EMPTY', `${name} is empty (0 bytes).`, {
        hint: 'Copy or download the file again.',
      })
    }
    return await readWhole(handle, offset, size)
  } catch (error) {
    throw error instanceof Fc7Error ? error : unreadable(path, error)
  } finally {
    await handle.close()
  }
}

/** As many bytes as were measured: a file that grows while it is read does not read on for ever. */
async function readWhole(handle: Awaited<ReturnType<typeof open>>, offset: number, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size)
  let at = 0
  while (at < size) {
    const { bytesRead } = await handle.read(bytes, at, size - at, offset + at)
    if (bytesRead === 0) break
    at += bytesRead
  }
  return bytes.subarray(0, at)
}

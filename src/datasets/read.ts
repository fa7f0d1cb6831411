import { open } from 'node:fs/promises'
import { Fc7Error, messageOf, systemCode } from '../base/errors.js'
import type { ItemLoad } from './contract.js'

/** Larger images are refused before they are read. */
export const maxImageBytes = 64 << 20

function tooLarge(bytes: number): Fc7Error {
  return new Fc7Error('IMAGE_TOO_LARGE', `it has ${bytes} bytes, more than the ${maxImageBytes} allowed`)
}

/**
 * An image's bytes, however they are to be had. Works in workers for `file` and `range` loads, which are plain data.
 *
 * @throws Fc7Error whose code and message fit into failures.jsonl: the load's own for `broken`, IMAGE_TOO_LARGE,
 *   IMAGE_UNREADABLE
 */
export async function readImage(load: ItemLoad): Promise<Uint8Array> {
  if (load.kind === 'broken') throw new Fc7Error(load.code, load.message)
  try {
    if (load.kind === 'bytes') {
      const bytes = await load.read()
      if (bytes.length > maxImageBytes) throw tooLarge(bytes.length)
      return bytes
    }
    if (load.kind === 'range' && load.length > maxImageBytes) throw tooLarge(load.length)
    // Bytes of a name arrive from a worker's message as a plain Uint8Array.
    const handle = await open(typeof load.path === 'string' ? load.path : Buffer.from(load.path), 'r')
    try {
      const { size } = await handle.stat()
      const offset = load.kind === 'range' ? load.offset : 0
      const length = load.kind === 'range' ? load.length : size
      if (length > maxImageBytes) throw tooLarge(length)
      const bytes = Buffer.allocUnsafeSlow(length)
      let filled = 0
      while (filled < length) {
        const { bytesRead } = await handle.read(bytes, filled, length - filled, offset + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      if (filled < length) throw new Fc7Error('IMAGE_UNREADABLE', 'the file ends before the image does')
      return bytes
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (error instanceof Fc7Error) throw error
    const reason = systemCode(error) === 'EACCES' ? 'there is no permission to read it' : messageOf(error)
    throw new Fc7Error('IMAGE_UNREADABLE', reason, { cause: error })
  }
}

import { open } from 'node:fs/promises'

/** Exactly `length` bytes at `offset` in a buffer of their own. */
export async function readPart(path: string, offset: number, length: number): Promise<ArrayBuffer> {
  const buffer = new ArrayBuffer(length)
  const bytes = new Uint8Array(buffer)
  const handle = await open(path, 'r')
  try {
    let filled = 0
    while (filled < length) {
      const { bytesRead } = await handle.read(bytes, filled, length - filled, offset + filled)
      if (bytesRead === 0) throw new Error('the file ends before its data')
      filled += bytesRead
    }
  } finally {
    await handle.close()
  }
  return buffer
}

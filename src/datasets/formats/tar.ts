import type { FileHandle } from 'node:fs/promises'
import { nameText } from './names.js'

const block = 512
const readAheadBytes = 32 * 1024
/** Long names and extended headers larger than this are refused. */
const maxExtensionBytes = 1 << 20

export interface TarEntry {
  readonly name: string
  /** Where the content begins in the archive. */
  readonly offset: number
  readonly size: number
  readonly isFile: boolean
}

/** What is wrong with an archive; the reading of it ends there. */
export class TarError extends Error {}

/** Reads parts of a file, a little ahead, so that headers and small neighbours cost one system call. */
export class PartReader {
  readonly #handle: FileHandle
  readonly size: number
  #start = 0
  #held: Buffer = Buffer.alloc(0)

  constructor(handle: FileHandle, size: number) {
    this.#handle = handle
    this.size = size
  }

  /** Exactly `length` bytes at `offset`. @throws TarError where the file ends before */
  async read(offset: number, length: number): Promise<Buffer> {
    if (offset + length > this.size) throw new TarError('the archive ends in the middle of an entry')
    if (offset < this.#start || offset + length > this.#start + this.#held.length) {
      const buffer = Buffer.alloc(Math.min(Math.max(length, readAheadBytes), this.size - offset))
      let filled = 0
      while (filled < buffer.length) {
        const { bytesRead } = await this.#handle.read(buffer, filled, buffer.length - filled, offset + filled)
        if (bytesRead === 0) throw new TarError('the archive became shorter while it was read')
        filled += bytesRead
      }
      this.#start = offset
      this.#held = buffer
    }
    return this.#held.subarray(offset - this.#start, offset - this.#start + length)
  }
}

function textField(header: Buffer, start: number, length: number): Buffer {
  const end = header.indexOf(0, start)
  return header.subarray(start, end >= 0 && end < start + length ? end : start + length)
}

/** An octal number, or GNU's base 256 for large ones. */
function numberField(header: Buffer, start: number, length: number): number {
  if (header[start]! & 0x80) {
    let value = header[start]! & 0x7f
    for (let i = 1; i < length; i++) value = value * 256 + header[start + i]!
    return value
  }
  const text = header
    .toString('latin1', start, start + length)
    .replace(/[\0 ]+$/g, '')
    .trim()
  return text === '' ? 0 : /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number.NaN
}

function checksumFits(header: Buffer): boolean {
  let sum = 0
  for (let i = 0; i < block; i++) sum += i >= 148 && i < 156 ? 32 : header[i]!
  return sum === numberField(header, 148, 8)
}

/** `length key=value\n` records of an extended header. */
function parsePax(body: Buffer): { path?: string | undefined; size?: number | undefined } {
  const out: { path?: string | undefined; size?: number | undefined } = {}
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at)
    const length = Number(body.toString('latin1', at, space < 0 ? at : space))
    if (!Number.isInteger(length) || length < 5 || at + length > body.length) break
    const record = body.subarray(space + 1, at + length - 1)
    const equals = record.indexOf(0x3d)
    const key = record.toString('latin1', 0, equals)
    if (key === 'path') out.path = nameText(record.subarray(equals + 1))
    if (key === 'size') out.size = Number(record.toString('latin1', equals + 1))
    at += length
  }
  return out
}

/**
 * Entries of an uncompressed tar archive (ustar, GNU long names, pax), one after the other, without reading contents.
 * Every size is checked against the file's.
 *
 * @throws TarError
 */
export async function* tarEntries(reader: PartReader): AsyncGenerator<TarEntry> {
  let longName: string | undefined
  let pax: { path?: string | undefined; size?: number | undefined } = {}
  for (let at = 0; at < reader.size; ) {
    const header = await reader.read(at, block)
    if (header.every((byte) => byte === 0)) return
    if (!checksumFits(header)) throw new TarError('the archive is damaged (a header’s checksum is wrong)')
    const type = String.fromCharCode(header[156]!)
    const isExtension = type === 'x' || type === 'g' || type === 'L' || type === 'K'
    const size = isExtension ? numberField(header, 124, 12) : (pax.size ?? numberField(header, 124, 12))
    const offset = at + block
    if (!Number.isSafeInteger(size) || size < 0) throw new TarError('an entry’s size is no number')
    if (offset + size > reader.size) throw new TarError('the archive ends in the middle of an entry')
    if (isExtension) {
      if (size > maxExtensionBytes) throw new TarError('an extended header is too large')
      const body = await reader.read(offset, size)
      if (type === 'L') longName = nameText(body.subarray(0, body.indexOf(0) < 0 ? size : body.indexOf(0)))
      else if (type === 'x') pax = parsePax(body)
    } else {
      const prefix = header.toString('latin1', 257, 262) === 'ustar' ? textField(header, 345, 155) : Buffer.alloc(0)
      const short = textField(header, 0, 100)
      const plain = prefix.length > 0 && header[263] !== 0x20 ? Buffer.concat([prefix, Buffer.from('/'), short]) : short
      const name = pax.path ?? longName ?? nameText(plain)
      const isFile = type === '0' || type === '\0' || type === '7'
      // Links and folders have no content, whatever their size says.
      yield { name, offset, size: isFile ? size : 0, isFile }
      longName = undefined
      pax = {}
      if ('123456'.includes(type)) {
        at = offset
        continue
      }
    }
    at = offset + Math.ceil(size / block) * block
  }
}

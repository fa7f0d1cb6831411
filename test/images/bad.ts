import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { deflateSync } from 'node:zlib'
import { expect } from '@jest/globals'
import sharp from 'sharp'
import { openStore, readTable } from '../../src/embeddings/store/store.js'

/** A PNG of zeros, whose file is a thousandth of its pixels: `lines` of them are really there. */
export function zeroPng(width: number, height: number, lines: number): Buffer {
  const crcTable = Array.from({ length: 256 }, (_, n) => {
    let c = n
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
    return c >>> 0
  })
  const chunk = (kind: string, body: Buffer): Buffer => {
    const all = Buffer.concat([Buffer.from(kind), body])
    let crc = 0xffffffff
    for (const byte of all) crc = crcTable[(crc ^ byte) & 255]! ^ (crc >>> 8)
    const [head, tail] = [Buffer.alloc(4), Buffer.alloc(4)]
    head.writeUInt32BE(body.length)
    tail.writeUInt32BE((crc ^ 0xffffffff) >>> 0)
    return Buffer.concat([head, all, tail])
  }
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width, 0)
  head.writeUInt32BE(height, 4)
  head.set([1, 0], 8)
  const line = Math.ceil(width / 8) + 1
  const magic = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
  return Buffer.concat([
    magic,
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(Buffer.alloc(line * lines))),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

/**
 * Fills a new folder with bad images, and says what becomes of each: null where it is embedded, else the code of its
 * failure.
 */
export async function writeBadImages(folder: string): Promise<{ expected: Map<string, string | null>; jpeg: Buffer }> {
  mkdirSync(folder)
  const expected = new Map<string, string | null>()
  const noise = Buffer.from(Array.from({ length: 90 * 70 * 3 }, (_, i) => Math.imul(i, 2654435761) >>> 24))
  const image = sharp(noise, { raw: { width: 90, height: 70, channels: 3 } })
  const jpeg = await image.clone().jpeg().toBuffer()
  const png = await image.clone().png().toBuffer()
  const at = (name: string) => join(folder, name)
  const write = (name: string, bytes: string | Uint8Array, code: string | null): void => {
    writeFileSync(at(name), bytes)
    expected.set(name, code)
  }
  write('good.jpg', jpeg, null)
  write('empty.jpg', '', 'IMAGE_EMPTY')
  write('cut-20.jpg', jpeg.subarray(0, 20), 'IMAGE_TRUNCATED')
  write('cut-half.jpg', jpeg.subarray(0, jpeg.length >> 1), 'IMAGE_TRUNCATED')
  write('cut-end.jpg', jpeg.subarray(0, jpeg.length - 3), 'IMAGE_TRUNCATED')
  write('cut-half.png', png.subarray(0, png.length >> 1), 'IMAGE_TRUNCATED')
  write('png-named.jpg', png, null)
  write('page.jpg', '<!doctype html><title>404</title>', 'IMAGE_NOT_AN_IMAGE')
  write('drawing.jpg', '<svg xmlns="http://www.w3.org/2000/svg" width="9000" height="9000"/>', 'IMAGE_NOT_AN_IMAGE')
  write('one-pixel.png', await image.clone().resize(1, 1).png().toBuffer(), null)
  write('strip.png', await image.clone().resize(30_000, 1, { fit: 'fill' }).png().toBuffer(), null)
  write('bomb.png', zeroPng(60_000, 60_000, 60_000 >> 6), 'IMAGE_TOO_MANY_PIXELS')
  write('cmyk.jpg', await image.clone().toColourspace('cmyk').jpeg().toBuffer(), null)
  write('deep.png', await image.clone().toColourspace('rgb16').png().toBuffer(), null)
  write(
    'animated.gif',
    await sharp(noise, { raw: { width: 90, height: 70, channels: 3, pageHeight: 35 } })
      .gif()
      .toBuffer(),
    null,
  )
  const segment = (marker: string, body: string): Buffer => {
    const bytes = Buffer.from(`${marker}\0\0${body}`, 'latin1')
    bytes.writeUInt16BE(bytes.length - 2, 2)
    return Buffer.concat([jpeg.subarray(0, 2), bytes, jpeg.subarray(2)])
  }
  write('corrupt-icc.jpg', segment('\xff\xe2', `ICC_PROFILE\0\x01\x01${'not a profile'.repeat(9)}`), null)
  write('broken-exif.jpg', segment('\xff\xe1', 'Exif\0\0MM\0*\xff\xff\xff\xff'), null)
  write('new\nline.jpg', jpeg, null)
  write('heavy.jpg', jpeg, 'IMAGE_TOO_LARGE')
  truncateSync(at('heavy.jpg'), (64 << 20) + 1)
  mkdirSync(at('folder.jpg'))
  expected.set('folder.jpg', 'IS_FOLDER')
  symlinkSync(at('nowhere'), at('broken-link.jpg'))
  expected.set('broken-link.jpg', 'BROKEN_LINK')
  symlinkSync(at('loop-b.jpg'), at('loop-a.jpg'))
  symlinkSync(at('loop-a.jpg'), at('loop-b.jpg'))
  for (const name of ['loop-a.jpg', 'loop-b.jpg']) expected.set(name, 'LINK_LOOP')
  execFileSync('mkfifo', [at('pipe.jpg')])
  expected.set('pipe.jpg', 'NOT_A_FILE')
  write('secret.jpg', jpeg, process.getuid?.() === 0 ? null : 'IMAGE_UNREADABLE')
  chmodSync(at('secret.jpg'), 0)
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe]), Buffer.from('.jpg')]), jpeg)
  expected.set('\\xff\\xfe.jpg', null)
  return { expected, jpeg }
}

export interface Extracted {
  /** By path: null where it is embedded, else the failure's code. */
  readonly found: [string, string | null][]
  /** Largest resident set of the process, in MiB. */
  readonly peakMiB: number
}

const bin = fileURLToPath(new URL('../../bin/fc7.js', import.meta.url))

/** `fc7 extract` of a source in a process of its own, watched. The tiny network lies in `root`. */
export async function extractWatched(root: string, source: string, more: readonly string[] = []): Promise<Extracted> {
  const out = join(root, `store-${Math.random()}`)
  const model = ['--model', join(root, 'tiny.onnx'), '--recipe', 'torchvision']
  const child = spawn(process.execPath, [bin, 'extract', source, ...model, '--out', out, '--quiet', ...more], {
    env: { ...process.env, FC7_OFFLINE: '1', FC7_CACHE: join(root, 'cache') },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  let peakMiB = 0
  child.stderr.on('data', (part) => {
    stderr += part
  })
  const watch = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
      peakMiB = Math.max(peakMiB, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024)
    } catch {
      // It has ended, or this is not Linux.
    }
  }, 50)
  const code = await new Promise((resolve) => child.on('close', resolve))
  clearInterval(watch)
  expect([code, code === 0 ? '' : stderr]).toEqual([0, ''])
  const found = new Map<string, string | null>()
  for (const line of readFileSync(join(out, 'failures.jsonl'), 'utf8').split('\n').filter(Boolean)) {
    const { path, code, message } = JSON.parse(line)
    expect(message).toMatch(/\w+ \w+/)
    found.set(path, code)
  }
  for (const path of (await readTable(await openStore(out))).paths) found.set(path, null)
  return { found: inOrder(found), peakMiB }
}

export const inOrder = (map: ReadonlyMap<string, string | null>): [string, string | null][] =>
  [...map].sort(([a], [b]) => (a < b ? -1 : 1))

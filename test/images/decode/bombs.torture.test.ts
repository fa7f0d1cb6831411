import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import sharp from 'sharp'
import { tinyModel } from '../../support/tiny.js'
import { extractWatched, inOrder, writeBadImages, zeroPng } from '../bad.js'

const root = mkdtempSync(join(tmpdir(), 'fc7-bombs-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

let made: Awaited<ReturnType<typeof writeBadImages>>
let usualMiB: number
beforeAll(async () => {
  writeFileSync(join(root, 'tiny.onnx'), tinyModel())
  made = await writeBadImages(join(root, 'bad'))
  mkdirSync(join(root, 'good'))
  for (let i = 0; i < 20; i++) writeFileSync(join(root, 'good', `${i}.jpg`), made.jpeg)
  usualMiB = (await extractWatched(root, join(root, 'good'))).peakMiB
}, 120_000)

/** Images at the limit, and Parquet cells, of 60 MiB. */
const [atTheLimit, bombs] = process.env.FC7_TORTURE === 'sample' ? [6, 3] : [30, 20]

/** A decoded image of the largest size that is allowed, in MiB; each decoding thread may hold two while it works. */
const largestMiB = (100e6 * 3) / 2 ** 20

describe('bombs through the built command: listed or embedded, memory bounded', () => {
  it('bad images of all kinds the fast way', async () => {
    expect((await extractWatched(root, join(root, 'bad'), ['--resize', 'fast'])).found).toEqual(inOrder(made.expected))
  }, 60_000)

  it('images at the limit of what is decoded, and ten beyond it', async () => {
    const folder = join(root, 'large')
    mkdirSync(folder)
    const atLimit = zeroPng(10_000, 10_000, 10_000)
    const beyond = zeroPng(10_001, 10_000, 10_000)
    for (let i = 0; i < atTheLimit; i++) writeFileSync(join(folder, `limit-${i}.png`), atLimit)
    for (let i = 0; i < 5; i++) writeFileSync(join(folder, `beyond-${i}.png`), beyond)
    const options = { create: { width: 16_000, height: 6_500, channels: 3 as const, background: 'red' } }
    const webp = await sharp(options).webp({ quality: 1, effort: 0 }).toBuffer()
    for (let i = 0; i < 5; i++) writeFileSync(join(folder, `beyond-${i}.webp`), webp)
    const { found, peakMiB } = await extractWatched(root, folder, ['--threads', '4', '--decode-threads', '2'])
    console.log(`usual ${usualMiB.toFixed(0)} MiB, with images of 100 megapixels ${peakMiB.toFixed(0)} MiB`)
    expect(found.map(([name, code]) => [name.startsWith('limit'), code])).toEqual([
      ...Array.from({ length: 10 }, () => [false, 'IMAGE_TOO_MANY_PIXELS']),
      ...Array.from({ length: atTheLimit }, () => [true, null]),
    ])
    // Two threads with two each, and the strips that libvips works on.
    expect(peakMiB - usualMiB).toBeLessThan(2 * 2 * largestMiB + 256)
  }, 300_000)

  it('a Parquet file of cells that are bombs of 60 MiB', async () => {
    const path = join(root, 'bomb.parquet')
    writeFileSync(join(root, 'beyond.png'), zeroPng(60_000, 60_000, 900))
    writeFileSync(join(root, 'good.jpg'), made.jpeg)
    // In a process of its own: under jest the compression of 1.2 GiB takes minutes.
    const write = `import { parquetWriteBuffer } from 'hyparquet-writer'
      import { readFileSync, writeFileSync } from 'node:fs'
      const data = [readFileSync('${root}/good.jpg'), ...Array.from({ length: ${bombs} }, () => Buffer.alloc(60 << 20)), readFileSync('${root}/beyond.png')]
      writeFileSync('${path}', Buffer.from(parquetWriteBuffer({ columnData: [{ name: 'image', data, type: 'BYTE_ARRAY', encoding: 'PLAIN' }], rowGroupSize: 1 })))`
    execFileSync(process.execPath, ['--input-type=module', '-e', write], {
      cwd: fileURLToPath(new URL('../../../', import.meta.url)),
    })
    const { found, peakMiB } = await extractWatched(root, path)
    console.log(`usual ${usualMiB.toFixed(0)} MiB, with ${bombs} cells of 60 MiB of zeros ${peakMiB.toFixed(0)} MiB`)
    expect(found.map(([, code]) => code).sort()).toEqual([
      ...Array.from({ length: bombs }, () => 'IMAGE_NOT_AN_IMAGE'),
      'IMAGE_TOO_MANY_PIXELS',
      null,
    ])
    // A page, its cell, and the copy that a thread gets, for each of the four cells that may be under way.
    expect(peakMiB - usualMiB).toBeLessThan(1024)
  }, 300_000)
})

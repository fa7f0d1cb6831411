import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import sharp from 'sharp'
import { DecodePool, type DecodeResult, type DecodeTask } from '../../../src/images/pool/decode-pool.js'
import { runDecodeTask } from '../../../src/images/pool/decode-task.js'
import { namedRecipe } from '../../../src/images/recipe/recipe.js'

const recipe = namedRecipe('torchvision', { width: 32, height: 32 })
const folder = mkdtempSync(join(tmpdir(), 'fc7-bad-'))
const at = (name: string) => join(folder, name)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A PNG header that promises an image of this size, without the image. */
function pngOf(width: number, height: number): Buffer {
  const head = Buffer.alloc(33)
  head.write('\x89PNG\r\n\x1a\n', 'latin1')
  head.writeUInt32BE(13, 8)
  head.write('IHDR', 12)
  head.writeUInt32BE(width, 16)
  head.writeUInt32BE(height, 20)
  head.set([8, 2, 0, 0, 0], 24)
  return head
}

const expected: Record<string, string | null> = {
  'empty.jpg': 'IMAGE_EMPTY',
  'page.jpg': 'IMAGE_NOT_AN_IMAGE',
  'drawing.jpg': 'IMAGE_NOT_AN_IMAGE',
  'document.png': 'IMAGE_NOT_AN_IMAGE',
  'two-bytes.jpg': 'IMAGE_NOT_AN_IMAGE',
  'huge.png': 'IMAGE_TOO_MANY_PIXELS',
  'bomb.png': 'IMAGE_TOO_MANY_PIXELS',
  'heavy.jpg': 'IMAGE_TOO_LARGE',
  'folder.jpg': 'IMAGE_NOT_A_FILE',
  'pipe.jpg': 'IMAGE_NOT_A_FILE',
  'broken-link.jpg': 'IMAGE_UNREADABLE',
  'loop-a.jpg': 'IMAGE_UNREADABLE',
  'missing.jpg': 'IMAGE_UNREADABLE',
  'half.jpg': 'IMAGE_TRUNCATED',
  'most.jpg': 'IMAGE_TRUNCATED',
  // A segment that claims the bytes of the next is too much for Pillow as well ("broken data stream").
  'greedy-exif.jpg': 'IMAGE_CORRUPT',
  'broken-exif.jpg': null,
  'png-named.jpg': null,
  'one-pixel.png': null,
  'strip.png': null,
  'linked.jpg': null,
  'new\nline.jpg': null,
}

beforeAll(async () => {
  const noise = Buffer.from(Array.from({ length: 90 * 70 * 3 }, (_, i) => Math.imul(i, 2654435761) >>> 24))
  const image = sharp(noise, { raw: { width: 90, height: 70, channels: 3 } })
  const jpeg = await image.clone().jpeg().toBuffer()
  const write = (name: string, content: string | Uint8Array) => writeFileSync(at(name), content)
  write('empty.jpg', '')
  write('page.jpg', '<!doctype html><title>404</title>')
  write('drawing.jpg', '<svg xmlns="http://www.w3.org/2000/svg" width="9000" height="9000"/>')
  write('document.png', '%PDF-1.4\n%%EOF')
  write('two-bytes.jpg', jpeg.subarray(0, 2))
  write('huge.png', pngOf(20_000, 20_000))
  write('bomb.png', pngOf(4_000_000_000, 4_000_000_000))
  write('heavy.jpg', jpeg)
  truncateSync(at('heavy.jpg'), (64 << 20) + 1)
  mkdirSync(at('folder.jpg'))
  execFileSync('mkfifo', [at('pipe.jpg')])
  symlinkSync(at('nowhere'), at('broken-link.jpg'))
  symlinkSync(at('loop-b.jpg'), at('loop-a.jpg'))
  symlinkSync(at('loop-a.jpg'), at('loop-b.jpg'))
  for (const length of [3, 20, 200, 400]) write(`cut-${length}.jpg`, jpeg.subarray(0, length))
  write('half.jpg', jpeg.subarray(0, jpeg.length >> 1))
  write('most.jpg', jpeg.subarray(0, jpeg.length - 200))
  const png = await image.clone().png().toBuffer()
  write('half.png', png.subarray(0, png.length >> 1))
  write('half.gif', (await image.clone().gif().toBuffer()).subarray(0, 1500))
  write('half.webp', (await image.clone().webp().toBuffer()).subarray(0, 900))
  write('half.tif', (await image.clone().tiff().toBuffer()).subarray(0, 900))
  const withExif = (segment: string) =>
    Buffer.concat([jpeg.subarray(0, 2), Buffer.from(segment, 'latin1'), jpeg.subarray(2)])
  write('greedy-exif.jpg', withExif('\xff\xe1\0\x0cExif\0\0\xff\xff'))
  write('broken-exif.jpg', withExif('\xff\xe1\0\x10Exif\0\0MM\0*\xff\xff\xff\xff'))
  write('png-named.jpg', png)
  write('one-pixel.png', await image.clone().resize(1, 1).png().toBuffer())
  write('strip.png', await image.clone().resize(30_000, 1, { fit: 'fill' }).png().toBuffer())
  write('whole.jpg', jpeg)
  symlinkSync(at('whole.jpg'), at('linked.jpg'))
  write('new\nline.jpg', jpeg)
})

describe('bad images', () => {
  for (const [name, code] of Object.entries(expected)) {
    for (const resizeMode of ['exact', 'fast'] as const) {
      it(`${JSON.stringify(name)} ${resizeMode}: ${code ?? 'is read'}`, async () => {
        const result = await runDecodeTask({ path: at(name) }, { recipe, resizeMode, thumbnail: true })
        expect(result.ok ? null : result.code).toBe(code)
        if (!result.ok) expect(result.message).toMatch(/\S{3}.*\.$/)
      })
    }
  }

  it('files cut at other points are failures too, never half an image', async () => {
    const cut = ['cut-3.jpg', 'cut-20.jpg', 'cut-200.jpg', 'cut-400.jpg', 'half.png', 'half.webp']
    // A TIFF keeps its directory anywhere, so what is missing cannot be told from what is damaged.
    for (const [name, code] of [
      ...cut.map((one) => [one, 'IMAGE_TRUNCATED']),
      ['half.tif', 'IMAGE_CORRUPT'],
    ] as const) {
      const result = await runDecodeTask({ path: at(name) }, { recipe })
      expect([name, result.ok ? 'read' : result.code]).toEqual([name, code])
    }
  })

  it('a file without permission is listed', async () => {
    writeFileSync(at('secret.jpg'), readFileSync(at('whole.jpg')))
    chmodSync(at('secret.jpg'), 0)
    const result = await runDecodeTask({ path: at('secret.jpg') }, { recipe })
    // The superuser may read everything.
    expect(result.ok ? 'read' : result.code).toBe(process.getuid?.() === 0 ? 'read' : 'IMAGE_UNREADABLE')
  })

  it('a name that is not UTF-8 is read by its bytes', async () => {
    const path = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe]), Buffer.from('.jpg')])
    writeFileSync(path, readFileSync(at('whole.jpg')))
    expect((await runDecodeTask({ path }, { recipe })).ok).toBe(true)
  })
})

describe('the decoding pool', () => {
  it('reads good and bad images in its threads, pixels into shared memory', async () => {
    const pool = new DecodePool({ recipe, threads: 2, hash: true, thumbnail: true })
    const names = [...Object.keys(expected), 'whole.jpg']
    const buffer = new SharedArrayBuffer(names.length * 32 * 32 * 3)
    const results: Promise<DecodeResult>[] = []
    for (const [i, name] of names.entries()) {
      await pool.whenRoom()
      results.push(pool.submit({ path: at(name), slot: { buffer, byteOffset: i * 32 * 32 * 3 } }))
    }
    const codes = (await Promise.all(results)).map((result) => (result.ok ? null : result.code))
    expect(codes).toEqual([...Object.values(expected), null])
    const alone = await runDecodeTask({ path: at('whole.jpg') }, { recipe })
    const slot = new Uint8Array(buffer, (names.length - 1) * 32 * 32 * 3)
    expect([...slot]).toEqual([...(alone.ok ? alone.pixels! : [])])
    expect(await results.at(-1)!).toMatchObject({ ok: true, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) })
    await pool.close()
    expect(() => pool.submit({ path: 'x' })).toThrow(/closed/)
  })

  it('its threads leave the list of loaders alone: closing it again would refuse what other threads decode', async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="3" height="3"/>')
    await runDecodeTask({ path: at('whole.jpg') }, { recipe })
    await expect(sharp(svg).metadata()).rejects.toThrow()
    // A loader opened by hand, here and for the process, tells whether a thread closed the others again.
    sharp.unblock({ operation: ['VipsForeignLoadSvg'] })
    try {
      const pool = new DecodePool({ recipe, threads: 2 })
      const results = Array.from({ length: 8 }, () => pool.submit({ path: at('whole.jpg') }))
      expect((await Promise.all(results)).every(({ ok }) => ok)).toBe(true)
      await pool.close()
      expect((await sharp(svg).metadata()).width).toBe(3)
    } finally {
      sharp.block({ operation: ['VipsForeignLoadSvg'] })
    }
  })

  const strange = (body: string) =>
    `data:text/javascript,${encodeURIComponent(`
      import { parentPort as port } from 'node:worker_threads'
      port.postMessage({ ready: true })
      port.on('message', ({ id, ask: task }) => { ${body}
        port.postMessage({ id, answer: { ok: true, width: 1, height: 1, bytes: 1 } }) })`)}`
  const outcomes = async (workerUrl: string, tasks: DecodeTask[]) => {
    const pool = new DecodePool({ recipe, timeoutSeconds: 0.7, workerUrl })
    const results = await Promise.all(tasks.map((task) => pool.submit(task)))
    await pool.close()
    return results.map((result) => (result.ok ? 'ok' : result.code))
  }

  it('loses only the image that brings a thread down or never ends', async () => {
    const url = strange(`if (task.name === 'crash') process.exit(3); if (task.name === 'spin') for (;;);`)
    const tasks = ['a', 'crash', 'b', 'spin', 'c'].map((name) => ({ name }))
    expect(await outcomes(url, tasks)).toEqual(['ok', 'IMAGE_CRASH', 'ok', 'IMAGE_TIMEOUT', 'ok'])
  })

  it('says so when no thread can start', async () => {
    const codes = await outcomes('file:///no/such/worker.js', [{ name: 'a' }, { name: 'b' }])
    expect(codes).toEqual(['DECODE_WORKER_FAILED', 'DECODE_WORKER_FAILED'])
  })
})

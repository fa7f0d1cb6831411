import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import sharp from 'sharp'
import { sha256 } from '../../../src/base/files.js'
import { sourceImages, sourceOf } from '../../../src/embeddings/extract/source-images.js'
import { imagesFromSource } from '../../../src/report/data/images.js'

let root = ''
const photos = (): string => join(root, 'photos')
const image = (level: number): Promise<Buffer> =>
  sharp({ create: { width: 400, height: 300, channels: 3, background: { r: level, g: 90, b: 30 } } })
    .jpeg()
    .toBuffer()

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-source-'))
  await mkdir(join(photos(), 'cat'), { recursive: true })
  for (const [i, level] of [10, 100, 200].entries())
    await writeFile(join(photos(), 'cat', `${i}.jpg`), await image(level))
})
afterAll(() => rm(root, { recursive: true, force: true }))

const hashOf = async (id: string): Promise<string> => sha256(await readFile(join(photos(), id)))

describe('the images behind a store', () => {
  it('are where the last run says', async () => {
    const store = await mkdtemp(join(root, 'store-'))
    expect(await sourceOf(store)).toBeUndefined()
    const line = (path: string): string => `${JSON.stringify({ seconds: 1, source: { path, layout: 'labels' } })}\n`
    await writeFile(join(store, 'run.jsonl'), line('/old') + line(photos()))
    // A run that was killed while it wrote.
    await appendFile(join(store, 'run.jsonl'), '{"source": {"pa')
    expect(await sourceOf(store)).toEqual({ path: photos(), layout: 'labels' })
  })

  it('are handed out only where their bytes are the ones that were embedded', async () => {
    const wanted = new Map([
      ['cat/0.jpg', await hashOf('cat/0.jpg')],
      ['cat/1.jpg', 'f'.repeat(64)],
      ['cat/gone.jpg', 'a'.repeat(64)],
      ['../secret.jpg', 'b'.repeat(64)],
    ])
    const found: string[] = []
    for await (const { id } of sourceImages({ path: photos() }, wanted)) found.push(id)
    expect(found).toEqual(['cat/0.jpg'])
  })

  it('are made small for a report; a source that is gone gives none', async () => {
    const hashes = new Map([
      ['cat/0.jpg', await hashOf('cat/0.jpg')],
      ['cat/2.jpg', await hashOf('cat/2.jpg')],
    ])
    const read = imagesFromSource({ path: photos() }, hashes, false)
    const made = await read(['cat/2.jpg', 'cat/1.jpg', 'cat/0.jpg'])
    expect([...made.keys()].sort()).toEqual(['cat/0.jpg', 'cat/2.jpg'])
    const { format, width, height } = await sharp(made.get('cat/2.jpg')!).metadata()
    expect([format, width, height]).toEqual(['webp', 176, 132])
    const gone = imagesFromSource({ path: join(root, 'moved') }, hashes, false)
    expect((await gone(['cat/0.jpg'])).size).toBe(0)
  })
})

import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { parquetHeader } from 'hyparquet/src/column.js'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { ParquetFile } from '../../src/datasets/formats/parquet-file.js'
import { openDataset } from '../../src/datasets/open.js'
import { allItems, brokenCode, fixture, imageNumber } from './helpers.js'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-parquet-'))
})
afterEach(async () => {
  await rm(root, { recursive: true, force: true })
})

const names = ['cat', 'dog', 'owl']

describe('Parquet files with images', () => {
  it.each(['train-snappy', 'plain', 'gzip-v2'])('reads %s.parquet as pyarrow wrote it', async (name) => {
    const items = await allItems(fixture(`${name}.parquet`))
    expect(items.map((item) => item.path)).toEqual(Array.from({ length: 12 }, (_, i) => `${name}.parquet/pic${i}.png`))
    expect(items.map((item) => item.label)).toEqual(Array.from({ length: 12 }, (_, i) => names[i % 3]))
    expect(items.map((item) => item.group)).toEqual(Array.from({ length: 12 }, (_, i) => `p${Math.floor(i / 2)}`))
    expect(items.map((item) => item.id)).toEqual(Array.from({ length: 12 }, (_, i) => `${name}.parquet#row=${i}`))
    expect(items[0]!.split).toBe(name.startsWith('train') ? 'train' : undefined)
    // In another order than they came: pages and dictionaries must be found again.
    const backwards = [...items].reverse()
    expect(await Promise.all(backwards.map(imageNumber))).toEqual(Array.from({ length: 12 }, (_, i) => 11 - i))
    for (const i of [7, 0, 11, 3, 7]) expect(await imageNumber(items[i]!)).toBe(i)
  })

  it.each(['nulls-snappy', 'brotli'])('takes missing images and labels in %s.parquet', async (name) => {
    const items = await allItems(fixture(`${name}.parquet`))
    expect(items).toHaveLength(12)
    expect(items.map(brokenCode)).toEqual(
      Array.from({ length: 12 }, (_, i) => (i >= 4 && i <= 6 ? 'EMPTY' : undefined)),
    )
    expect(items.map((item) => item.label)).toEqual(
      Array.from({ length: 12 }, (_, i) => (i === 7 || i === 8 ? undefined : names[i % 3])),
    )
    expect(items[4]!.path).toBe(`${name}.parquet#row=4`)
    for (const i of [3, 7, 11]) expect(await imageNumber(items[i]!)).toBe(i)
  })

  it('reads while items of earlier row groups are still being fetched', async () => {
    const waiting: Promise<number | undefined>[] = []
    for await (const item of (await openDataset(fixture('train-snappy.parquet'))).items())
      waiting.push(imageNumber(item))
    expect(await Promise.all(waiting)).toEqual(Array.from({ length: 12 }, (_, i) => i))
  })

  it('reads plain binary columns and columns of paths', async () => {
    const flat = await allItems(fixture('flat.parquet'))
    expect(flat.map((item) => [item.label, item.split])).toEqual([
      ['x', 'train'],
      ['y', 'val'],
      ['x', 'other'],
    ])
    expect(await imageNumber(flat[2]!)).toBe(2)
    await mkdir(join(root, 'sub'))
    await cp(fixture('paths.parquet'), join(root, 'paths.parquet'))
    await writeFile(join(root, 'sub/a.png'), 'abc')
    expect(await allItems(join(root, 'paths.parquet'))).toMatchObject([
      { label: '1', size: 3, load: { kind: 'file', path: join(root, 'sub/a.png') } },
      { label: '2', load: { kind: 'broken', code: 'OUTSIDE_ROOT' } },
    ])
  })

  it('knows the column "picture" of other people’s files', async () => {
    const file = join(root, 'named.parquet')
    await writeFile(
      file,
      Buffer.from(
        parquetWriteBuffer({
          columnData: [
            { name: 'picture', data: [Uint8Array.of(1, 2, 3)], type: 'BYTE_ARRAY' },
            { name: 'label', data: ['cat'], type: 'STRING' },
          ],
        }),
      ),
    )
    expect(await allItems(file)).toMatchObject([{ label: 'cat', size: 3, load: { kind: 'bytes' } }])
  })

  it('reads a folder of files as one data set', async () => {
    await cp(fixture('train-snappy.parquet'), join(root, 'train-00000-of-00001.parquet'))
    await cp(fixture('plain.parquet'), join(root, 'test-00000-of-00001.parquet'))
    const dataset = await openDataset(root)
    expect(dataset.decision).toContain('2 Parquet files: images from "image.bytes", labels from its column "label"')
    const items = await allItems(root)
    expect(items.map((item) => item.split)).toEqual([...new Array(12).fill('test'), ...new Array(12).fill('train')])
    expect(new Set(items.map((item) => item.id)).size).toBe(24)
  })

  it('says what is wrong with a file', async () => {
    await expect(openDataset(fixture('noimages.parquet'))).rejects.toMatchObject({
      code: 'PARQUET_NO_IMAGES',
      hint: expect.stringContaining('Its columns: x.'),
    })
    await expect(allItems(fixture('lz4.parquet'))).rejects.toMatchObject({ code: 'PARQUET_CODEC' })
    const whole = await readFile(fixture('plain.parquet'))
    const footer = Buffer.from(whole)
    footer.writeUInt32LE(0x7fffffff, whole.length - 8)
    for (const [name, bytes] of [
      ['cut.parquet', whole.subarray(0, whole.length - 20)],
      ['tiny.parquet', Buffer.from('PAR1PAR1')],
      ['noise.parquet', Buffer.alloc(500, 9)],
      ['footer.parquet', footer],
    ] as const) {
      await writeFile(join(root, name), bytes)
      await expect(openDataset(join(root, name))).rejects.toMatchObject({ code: 'PARQUET_BROKEN' })
    }
  })

  it('refuses pages that claim too much, group by group, without allocating it', async () => {
    const whole = await readFile(fixture('plain.parquet'))
    const file = await ParquetFile.open(fixture('plain.parquet'))
    const chunk = file.metadata.row_groups[1]!.columns.find((column) => column.meta_data?.path_in_schema[1] === 'bytes')
    const offset = Number(chunk!.meta_data!.data_page_offset)
    const reader = { view: new DataView(whole.buffer, whole.byteOffset + offset), offset: 0 }
    const header = parquetHeader(reader)
    // The compact protocol writes a small number as one or two zigzag bytes: find them and make them lie.
    const zigzag = (n: number): number[] => (2 * n < 128 ? [2 * n] : [((2 * n) & 127) | 128, (2 * n) >> 7])
    const sizes = [...zigzag(header.uncompressed_page_size), 0x15, ...zigzag(header.compressed_page_size)]
    const at = whole.indexOf(Buffer.from(sizes), offset)
    expect(at).toBeGreaterThan(offset)
    const lie = Buffer.from(whole)
    lie.set(sizes.length === 5 ? [0xff, 0x7f] : [0x7f], at)
    await writeFile(join(root, 'lie.parquet'), lie)
    const before = process.memoryUsage().arrayBuffers
    const items = await allItems(join(root, 'lie.parquet'))
    expect(items.map(brokenCode).filter(Boolean)).toEqual(['PARQUET_BROKEN'])
    // Groups 0 and 2 are whole: 5 and 2 rows.
    expect(items.filter((item) => !brokenCode(item)).map((item) => item.id.split('=')[1])).toEqual([
      '0',
      '1',
      '2',
      '3',
      '4',
      '10',
      '11',
    ])
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 << 20)
  })

  it('survives a file damaged at any byte', async () => {
    const whole = await readFile(fixture('train-snappy.parquet'))
    const path = join(root, 'damaged.parquet')
    let refused = 0
    for (let at = 4; at < whole.length; at += 61) {
      const damaged = Buffer.from(whole)
      damaged[at]! ^= 0xff
      await writeFile(path, damaged)
      try {
        for (const item of await allItems(path)) if (item.load.kind === 'bytes') await item.load.read()
      } catch (error) {
        refused++
        expect(String((error as { code?: string }).code)).toMatch(/^(PARQUET_|DATASET_EMPTY)/)
      }
    }
    expect(refused).toBeGreaterThan(0)
  })
})

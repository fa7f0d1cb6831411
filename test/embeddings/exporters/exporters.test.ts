import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { exportSource } from '../../../src/embeddings/exporters/export.js'
import { exporters, getExporter } from '../../../src/embeddings/exporters/registry.js'
import { executeExtraction } from '../../../src/embeddings/extract/extract.js'
import { openStore, readTable, type Store } from '../../../src/embeddings/store/store.js'
import type { EmbeddingTable } from '../../../src/embeddings/store/table.js'
import { fakeJob, fakePlan } from '../fake.js'

let root: string
let store: Store
let table: EmbeddingTable
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-export-'))
  await executeExtraction(fakeJob(join(root, 'store'), fakePlan(25), [3]))
  store = await openStore(join(root, 'store'))
  table = await readTable(store)
})
afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

/** An independent, strict reader of float32 .npy files. */
function parseNpy(bytes: Buffer): { shape: number[]; values: Float32Array } {
  expect(bytes.subarray(0, 8).toString('latin1')).toBe('\x93NUMPY\x01\x00')
  const length = bytes.readUInt16LE(8)
  expect((10 + length) % 64).toBe(0)
  const header = bytes.subarray(10, 10 + length).toString('latin1')
  expect(header.endsWith('\n')).toBe(true)
  const [, descr, shape] = /^\{'descr': '(.+?)', 'fortran_order': False, 'shape': \((.+?)\), \} *\n$/.exec(header)!
  expect(descr).toBe('<f4')
  return {
    shape: shape!.split(',').filter(Boolean).map(Number),
    values: new Float32Array(new Uint8Array(bytes.subarray(10 + length)).buffer),
  }
}

describe.each(exporters.map((exporter) => [exporter.id, exporter] as const))('the exporter %s', (id, exporter) => {
  it('writes whole files, the main one first, the same bytes each time', async () => {
    const folder = join(root, id)
    const files = await exporter.write(exportSource(store), join(folder, `x${exporter.extension}`))
    expect(files.length).toBeGreaterThan(0)
    const first = await Promise.all(files.map((file) => readFile(file)))
    const again = await exporter.write(exportSource(store), join(folder, `y${exporter.extension}`))
    const second = await Promise.all(again.map((file) => readFile(file)))
    first.forEach((bytes, i) => {
      expect(bytes.length).toBeGreaterThan(100)
      expect(bytes.equals(second[i]!)).toBe(true)
    })
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })

  it('leaves nothing behind when the source fails half way', async () => {
    const source = exportSource(store)
    const failing = {
      ...source,
      async *chunks() {
        for await (const chunk of source.chunks()) {
          yield chunk
          throw new Error('the disk went away')
        }
      },
    }
    const folder = join(root, `${id}-failing`)
    await expect(exporter.write(failing, join(folder, `x${exporter.extension}`))).rejects.toThrow('the disk went away')
    expect(await readdir(folder, { recursive: true }).catch(() => [])).toEqual(exporter.extension === '' ? ['x'] : [])
  })
})

describe('what independent readers see', () => {
  it('npy: the matrix, and an index with the same rows', async () => {
    const [file, index] = await getExporter('npy').write(exportSource(store), join(root, 'm.npy'))
    const { shape, values } = parseNpy(await readFile(file!))
    expect(shape).toEqual([24, 3])
    expect(values).toEqual(table.x)
    const lines = (await readFile(index!, 'utf8')).trim().split('\n')
    expect(lines[0]).toBe('row,id,path,label,split,group,view')
    expect(lines[4]).toBe('3,p4,class1/p4.png,class1,train,,0')
    expect(lines).toHaveLength(25)
  })

  it('safetensors: header length, offsets and the matrix', async () => {
    const [file] = await getExporter('safetensors').write(exportSource(store), join(root, 'm.safetensors'))
    const bytes = await readFile(file!)
    const length = Number(bytes.readBigUInt64LE(0))
    const header = JSON.parse(bytes.subarray(8, 8 + length).toString())
    expect(header.embeddings).toEqual({ dtype: 'F32', shape: [24, 3], data_offsets: [0, 24 * 3 * 4] })
    expect(header.__metadata__['fc7.plan']).toBe(store.planHash)
    expect(new Float32Array(new Uint8Array(bytes.subarray(8 + length)).buffer)).toEqual(table.x)
  })

  it('Parquet: every row as hyparquet reads it', async () => {
    const [file] = await getExporter('parquet').write(exportSource(store), join(root, 'm.parquet'))
    const rows = await parquetReadObjects({ file: await asyncBufferFromFile(file!) })
    expect(rows).toHaveLength(24)
    expect(rows[3]).toEqual({
      id: 'p4',
      path: 'class1/p4.png',
      label: 'class1',
      split: 'train',
      group: null,
      view: 0,
      embedding: [48, 4, 1],
    })
    expect(rows.map((row) => row.label ?? null)).toEqual([...table.labels])
    expect(Float32Array.from(rows.flatMap((row) => row.embedding))).toEqual(table.x)
  })

  it('CSV and the projector: the values read back equal', async () => {
    const [file] = await getExporter('csv').write(exportSource(store), join(root, 'm.csv'))
    const lines = (await readFile(file!, 'utf8')).trim().split('\n').slice(1)
    expect(Float32Array.from(lines.flatMap((line) => line.split(',').slice(6).map(Number)))).toEqual(table.x)
    const [tensors, metadata] = await getExporter('projector').write(exportSource(store), join(root, 'projector'))
    expect((await readFile(tensors!, 'utf8')).trim().split('\n')).toHaveLength(24)
    expect((await readFile(metadata!, 'utf8')).split('\n')[4]).toBe('p4\tclass1\ttrain')
  })

  it('an unknown format names the known ones', () => {
    expect(() => getExporter('xls')).toThrow('There is no export format "xls"')
  })
})

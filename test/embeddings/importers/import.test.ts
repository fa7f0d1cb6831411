import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { exportSource } from '../../../src/embeddings/exporters/export.js'
import { getExporter } from '../../../src/embeddings/exporters/registry.js'
import { executeExtraction } from '../../../src/embeddings/extract/extract.js'
import { parseCsv } from '../../../src/embeddings/importers/csv.js'
import { importEmbeddings } from '../../../src/embeddings/importers/import.js'
import { openStore, readTable, type Store } from '../../../src/embeddings/store/store.js'
import { fakeJob, fakePlan } from '../fake.js'

let root: string
let store: Store
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-import-'))
  await executeExtraction(fakeJob(join(root, 'store'), fakePlan(25)))
  store = await openStore(join(root, 'store'))
})
afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

describe('importEmbeddings', () => {
  it.each(['npy', 'parquet', 'csv'])('an import of an export to %s gives the same rows', async (format) => {
    const exporter = getExporter(format)
    const [file, index] = await exporter.write(exportSource(store), join(root, `e${exporter.extension}`))
    const out = join(root, `from-${format}`)
    await importEmbeddings(file!, { out, ...(format === 'npy' ? { labels: index! } : {}) })
    const before = await readTable(store)
    const after = await readTable(await openStore(out))
    expect(after.x).toEqual(before.x)
    for (const key of ['ids', 'paths', 'labels', 'splits', 'classes'] as const) expect(after[key]).toEqual(before[key])
  })

  it('reads float64 and a bare column of labels', async () => {
    const [file] = await getExporter('npy').write(exportSource(store), join(root, 'd.npy'))
    const header = (await readFile(file!))
      .subarray(0, 128)
      .toString('latin1')
      .replace('<f4', '<f8')
      .replace('(25, 3)', '(2, 3) ')
    await writeFile(
      join(root, 'd8.npy'),
      Buffer.concat([Buffer.from(header, 'latin1'), Buffer.from(new Float64Array([1, 2, 3, 4, 5, 6.5]).buffer)]),
    )
    await writeFile(join(root, 'labels.csv'), 'label\nant\n"bee, honey"\n')
    await importEmbeddings(join(root, 'd8.npy'), { out: join(root, 'd8'), labels: join(root, 'labels.csv') })
    const table = await readTable(await openStore(join(root, 'd8')))
    expect([...table.x]).toEqual([1, 2, 3, 4, 5, 6.5])
    expect(table.labels).toEqual(['ant', 'bee, honey'])
  })

  it('refuses a cut file, a wrong type, too few labels, a cell that is no number', async () => {
    const [file] = await getExporter('npy').write(exportSource(store), join(root, 'cut.npy'))
    const bytes = await readFile(file!)
    await writeFile(file!, bytes.subarray(0, bytes.length - 1))
    await expect(importEmbeddings(file!, { out: join(root, 'no') })).rejects.toMatchObject({
      code: 'IMPORT_BAD',
      message: expect.stringContaining('its header promises 428'),
    })
    await writeFile(
      file!,
      Buffer.concat([
        Buffer.from(bytes.subarray(0, 128).toString('latin1').replace('<f4', '<i4'), 'latin1'),
        bytes.subarray(128),
      ]),
    )
    await expect(importEmbeddings(file!, { out: join(root, 'no') })).rejects.toMatchObject({
      code: 'IMPORT_BAD',
    })
    await writeFile(file!, bytes)
    await writeFile(join(root, 'few.csv'), 'label\na\n')
    await expect(importEmbeddings(file!, { out: join(root, 'no'), labels: join(root, 'few.csv') })).rejects.toThrow(
      'it has 1 row',
    )
    await writeFile(join(root, 'x.csv'), 'f0,f1,label\n1,x,a\n')
    await expect(importEmbeddings(join(root, 'x.csv'), { out: join(root, 'no') })).rejects.toThrow(
      'line 2, column f1 is "x"',
    )
    await expect(importEmbeddings(join(root, 'x.xls'), { out: join(root, 'no') })).rejects.toMatchObject({
      code: 'USAGE_IMPORT',
    })
  })

  it('parses quoted CSV', () => {
    expect(parseCsv('a,b\r\n"x ""y""",  2\n\n"line\nend",\n')).toEqual([
      ['a', 'b'],
      ['x "y"', '  2'],
      ['line\nend', ''],
    ])
  })
})

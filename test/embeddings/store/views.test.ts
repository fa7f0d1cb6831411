import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { exportSource } from '../../../src/embeddings/exporters/export.js'
import { getExporter } from '../../../src/embeddings/exporters/registry.js'
import { executeExtraction } from '../../../src/embeddings/extract/extract.js'
import { importEmbeddings } from '../../../src/embeddings/importers/import.js'
import type { Decoded, ExtractionJob, Pose } from '../../../src/embeddings/store/job.js'
import { encodePlan, planDifferences } from '../../../src/embeddings/store/plan.js'
import { openStore, readTable, readThumbs } from '../../../src/embeddings/store/store.js'
import { verifyStore } from '../../../src/embeddings/store/verify.js'
import { plannedRows, unitsOf } from '../../../src/embeddings/store/views.js'
import { itemsOf, trainingRows } from '../../../src/evaluation/plan/items.js'
import { fc7Warm } from '../../cli/run.js'
import { tinyModel, writeTinyImages } from '../../support/tiny.js'
import { fakeItems, fakeJob, fakePlan } from '../fake.js'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-views-'))
})
afterEach(async () => {
  await rm(root, { recursive: true, force: true })
})

/** A number that tells a view from the image itself and from the other views. */
const mark = (pose: Pose | undefined): number =>
  pose?.augmentation ? 1 + (Math.round(97 * JSON.stringify(pose.augmentation).length) % 89) : 0

/** The pixels of image i in a view are i plus the view's mark. */
function viewJob(...args: Parameters<typeof fakeJob>): ExtractionJob<number> {
  const job = fakeJob(...args)
  return {
    ...job,
    decoder: {
      async decode(source, buffer, offset, pose): Promise<Decoded> {
        const decoded = await job.decoder.decode(source, buffer, offset)
        new Uint8Array(buffer, offset, 12).fill(source + mark(pose))
        return decoded.ok && pose?.thumbnail === false ? { ok: true, sha256: decoded.sha256 } : decoded
      },
    },
  }
}

const bytesOf = async (folder: string): Promise<string[]> =>
  Promise.all(
    (await readdir(folder))
      .sort()
      .map(async (name) => `${name} ${(await readFile(join(folder, name))).toString('base64')}`),
  )

describe('augmented training views', () => {
  it('every training image has its rows, test images have one, and an image is never divided from its views', async () => {
    const plan = fakePlan(23, { views: 3, seed: 5 })
    const out = join(root, 'store')
    const summary = await executeExtraction(viewJob(out, plan))
    // 12 of 23 are of the train split.
    expect(summary).toMatchObject({ rows: 12 * 3 + 11, images: 23, failures: 0 })
    expect(
      plannedRows(
        plan,
        new Map([
          ['train', 12],
          ['test', 11],
        ]),
      ),
    ).toBe(47)
    const table = await readTable(await openStore(out))
    expect(table.ids.slice(0, 5)).toEqual(['p0', 'p0#v1', 'p0#v2', 'p1', 'p2'])
    expect([...table.views.subarray(0, 5)]).toEqual([0, 1, 2, 0, 0])
    expect(table.groups.slice(0, 5)).toEqual(['p0', 'p0', 'p0', 'p1', 'p2'])
    for (let row = 0; row < table.rows; row++) {
      const item = fakeItems(23).find(({ id }) => id === table.groups[row])!
      const { augmentation } = unitsOf(plan, item).find(({ view }) => view === table.views[row])!
      expect(table.x[row * 3 + 1]).toBe(item.source + mark(augmentation && { augmentation, thumbnail: false }))
    }
    expect((await readThumbs(await openStore(out))).size).toBe(23)
    expect(await verifyStore(out)).toMatchObject({ ok: true, findings: [], rows: 47 })
    const items = itemsOf(table)
    // Labels are missing for every seventh.
    expect([items.ids.length, items.strayViews]).toEqual([20, 0])
    expect(items.groups.every((group) => group === null)).toBe(true)
    expect(trainingRows(items, [0]).map((row) => table.ids[row])).toEqual(['p0', 'p0#v1', 'p0#v2'])
  })

  it('equal bytes whatever the batch; other views with another seed; a bad image is one failure', async () => {
    const plan = fakePlan(23, { views: 3, seed: 5 })
    await executeExtraction({ ...viewJob(join(root, 'a'), plan, [4]), batch: 1 })
    await executeExtraction({ ...viewJob(join(root, 'b'), plan, [4]), batch: 7 })
    expect(await bytesOf(join(root, 'a'))).toEqual(await bytesOf(join(root, 'b')))
    const failures = (await readFile(join(root, 'a', 'failures.jsonl'), 'utf8')).trim().split('\n')
    expect(failures.map((line) => JSON.parse(line).id)).toEqual(['p4'])
    expect(await verifyStore(join(root, 'a'))).toMatchObject({ ok: true, rows: 44, failures: 1 })
    const [item] = fakeItems(1)
    expect(unitsOf(plan, item!)).toEqual(unitsOf(plan, item!))
    expect(unitsOf({ ...plan, seed: 6 }, item!)[1]).not.toEqual(unitsOf(plan, item!)[1])
    expect(planDifferences(fakePlan(9), fakePlan(9, { testViews: 'ten-crop' }))).toEqual(['testViews'])
  })

  it('adopts a whole shard without its commit', async () => {
    const plan = fakePlan(23, { views: 3 })
    await executeExtraction(viewJob(join(root, 'a'), plan))
    const before = await bytesOf(join(root, 'a'))
    await rm(join(root, 'a', 'shard-00001.json'))
    const seen: number[] = []
    await executeExtraction(viewJob(join(root, 'a'), plan, [], seen))
    expect(seen).toEqual([])
    expect(await bytesOf(join(root, 'a'))).toEqual(before)
  })

  it.each(['csv', 'parquet', 'npy'])('an import of an export to %s has the same images and views', async (format) => {
    await executeExtraction(viewJob(join(root, 'store'), fakePlan(10, { views: 3 })))
    const store = await openStore(join(root, 'store'))
    const exporter = getExporter(format)
    const [file, index] = await exporter.write(exportSource(store), join(root, `e${exporter.extension}`))
    const labels = format === 'npy' ? { labels: index! } : {}
    await importEmbeddings(file!, { out: join(root, 'again'), ...labels })
    const [before, after] = [await readTable(store), await readTable(await openStore(join(root, 'again')))]
    for (const key of ['x', 'ids', 'views', 'groups', 'splits'] as const) expect(after[key]).toEqual(before[key])
    expect(await verifyStore(join(root, 'again'))).toMatchObject({ ok: true, rows: 20 })
  })

  it('verify misses a view that is not there', async () => {
    const out = join(root, 'store')
    await executeExtraction(viewJob(out, fakePlan(10, { views: 3 })))
    // The same shard under a plan of four rows an image.
    const { hash, text } = encodePlan(fakePlan(10, { views: 4 }))
    await writeFile(join(out, 'plan.json'), text)
    const commit = JSON.parse(await readFile(join(out, 'shard-00000.json'), 'utf8'))
    await writeFile(join(out, 'shard-00000.json'), JSON.stringify({ ...commit, plan: hash }))
    const { ok, findings } = await verifyStore(out)
    expect(ok).toBe(false)
    expect(findings.map(({ problem }) => problem)).toContain(
      'the views of p0 (row 0) are not the 4 rows in order that the plan names',
    )
  })
})

describe('test-time views', () => {
  it.each([
    ['ten-crop', 10],
    ['razavian16', 16],
  ] as const)('%s: the row is the mean over %i views, for images outside the train split', async (testViews, count) => {
    const plan = fakePlan(20, { testViews })
    for (const batch of [1, 7]) await executeExtraction({ ...viewJob(join(root, `b${batch}`), plan, [3]), batch })
    expect(await bytesOf(join(root, 'b1'))).toEqual(await bytesOf(join(root, 'b7')))
    const table = await readTable(await openStore(join(root, 'b7')))
    expect(table.rows).toBe(19)
    const views = unitsOf(plan, fakeItems(2)[1]!)
    expect(views).toHaveLength(count)
    const mean =
      views.reduce((sum, { augmentation }) => sum + mark({ augmentation: augmentation!, thumbnail: false }), 0) / count
    for (let row = 0; row < table.rows; row++) {
      const number = Number(table.ids[row]!.slice(1))
      expect(table.x[row * 3 + 1]).toBeCloseTo(number + (table.splits[row] === 'train' ? 0 : mean), 4)
    }
    expect(await verifyStore(join(root, 'b7'))).toMatchObject({ ok: true, findings: [] })
  })

  it('through the built command: extract with both, verify, train, predict with averaged views', async () => {
    const env = { FC7_CACHE: join(root, 'cache') }
    const model = join(root, 'tiny.onnx')
    await writeFile(model, tinyModel())
    await writeTinyImages(join(root, 'photos'), { train: 6, test: 4 })
    const common = [
      'extract',
      join(root, 'photos'),
      '--model',
      model,
      '--recipe',
      'torchvision',
      '--views',
      '4',
      '--test-views',
      'ten-crop',
    ]
    const dry = JSON.parse(
      (await fc7Warm([...common, '--out', join(root, 's'), '--dry-run', '--json'], { env })).stdout,
    )
    expect(dry.plan).toMatchObject({ views: 4, testViews: 'ten-crop' })
    const made = JSON.parse((await fc7Warm([...common, '--out', join(root, 's'), '--json'], { env })).stdout)
    expect(made).toMatchObject({ rows: 18 * 4 + 12, failures: 0 })
    expect(JSON.parse((await fc7Warm(['verify', join(root, 's'), '--json'])).stdout)).toMatchObject({
      ok: true,
      rows: 84,
    })
    await fc7Warm(['train', join(root, 's'), '--trainer', 'knn', '--out', join(root, 'knn')], { env })
    const onImages = [
      'predict',
      join(root, 'knn'),
      join(root, 'photos', 'test'),
      '--model',
      model,
      '--test-views',
      'ten-crop',
      '--json',
    ]
    expect(JSON.parse((await fc7Warm(onImages, { env })).stdout)).toMatchObject({ rows: 12, trainedOn: 0 })
    const refused = await fc7Warm(['predict', join(root, 'knn'), join(root, 's'), '--test-views', 'ten-crop'], { env })
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('already embedded')])
  }, 60_000)
})

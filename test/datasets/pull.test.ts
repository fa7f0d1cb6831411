import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import sharp from 'sharp'
import { type DatasetCard, datasetCardSchema, listDatasetCards, loadDatasetCard } from '../../src/datasets/card.js'
import { openDataset, scanDataset } from '../../src/datasets/open.js'
import { planPull, pullDataset } from '../../src/datasets/pull.js'
import { chooseBalanced } from '../../src/datasets/subset.js'
import { makeTar, serveRegistry, sha512Of, type TestServer } from '../base/fetch/servers.js'

const classes = ['cat', 'dog', 'owl']
const perSheet = 30
let cacheFolder: string
let registry: TestServer
let card: DatasetCard
const before = { ...process.env }

/** Images of 2×2 pixels whose every value is the image's number: what is written can be traced back. */
async function sheet(first: number): Promise<Buffer> {
  const rows = Buffer.alloc(perSheet * 12)
  for (let i = 0; i < perSheet; i++) rows.fill(first + i, i * 12, (i + 1) * 12)
  return sharp(rows, { raw: { width: 4, height: perSheet, channels: 3 } })
    .png()
    .toBuffer()
}

beforeAll(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), 'fc7-pull-'))
  const labels = (count: number): Buffer => Buffer.from(JSON.stringify(Array.from({ length: count }, (_, i) => i % 3)))
  const files: [string, Buffer][] = [
    ['one.png', await sheet(0)],
    ['two.png', await sheet(30)],
    ['test.png', await sheet(100)],
    ['train.json', labels(60)],
    ['test.json', labels(30)],
  ]
  const tarball = gzipSync(makeTar(files.map(([name, body]) => ({ name: `package/${name}`, body }))))
  registry = await serveRegistry('sheets', '1.0.0', tarball)
  process.env.npm_config_registry = `${registry.origin}/`
  process.env.npm_config_cache = join(cacheFolder, 'npm-cache')
  card = datasetCardSchema.parse({
    format: 1,
    id: 'owls',
    title: 'Owls',
    about: 'A test.',
    licence: 'CC0',
    bytes: tarball.length,
    sources: [{ kind: 'npm', package: 'sheets', version: '1.0.0', integrity: sha512Of(tarball) }],
    classes,
    sheets: {
      width: 2,
      height: 2,
      train: { sheets: ['one.png', 'two.png'], labels: 'train.json' },
      test: { sheets: ['test.png'], labels: 'test.json' },
    },
    subset: { trainPerClass: 5, testPerClass: 2, seed: 7 },
  })
})
afterAll(async () => {
  for (const name of ['npm_config_registry', 'npm_config_cache']) {
    if (before[name] === undefined) delete process.env[name]
    else process.env[name] = before[name]
  }
  await registry.close()
  await rm(cacheFolder, { recursive: true, force: true })
})

describe('data set cards', () => {
  it('lists CIFAR-10 with its classes and its pinned package', async () => {
    const cards = await listDatasetCards()
    expect(cards.map((each) => each.id)).toContain('cifar10')
    const cifar = await loadDatasetCard('cifar10')
    expect(cifar.classes).toHaveLength(10)
    expect(planPull(cifar, { cacheFolder: '/c' })).toEqual({
      folder: join('/c', 'datasets', 'cifar10-200x50-seed0'),
      seed: 0,
      trainPerClass: 200,
      testPerClass: 50,
    })
    await expect(loadDatasetCard('../package')).rejects.toMatchObject({ code: 'DATASET_CARD_UNKNOWN' })
  })

  it('refuses a card whose paths or classes could leave the folder', () => {
    for (const classes of [
      ['..', 'a'],
      ['a/b', 'c'],
      ['.git', 'a'],
    ])
      expect(() => datasetCardSchema.parse({ ...card, classes })).toThrow()
    const train = { sheets: ['../x.png'], labels: 'train.json' }
    expect(() => datasetCardSchema.parse({ ...card, sheets: { ...card.sheets, train } })).toThrow()
  })
})

describe('pulling a data set', () => {
  it('is refused offline while nothing is at hand', async () => {
    await expect(pullDataset(card, { cacheFolder, offline: true })).rejects.toMatchObject({ code: 'OFFLINE' })
    expect(await readdir(cacheFolder).catch(() => [])).not.toContain('datasets')
  })

  it('writes a balanced subset in the folder layout, every image under its own label', async () => {
    const pulled = await pullDataset(card, { cacheFolder })
    expect(pulled).toMatchObject({ reused: false, seed: 7, folder: join(cacheFolder, 'datasets', 'owls-5x2-seed7') })
    const dataset = await openDataset(pulled.folder)
    expect(dataset.layout).toBe('splits')
    const scan = await scanDataset(dataset)
    expect(scan.splits).toEqual(
      new Map([
        ['test', 6],
        ['train', 15],
      ]),
    )
    expect(scan.labels).toEqual(new Map(classes.map((name) => [name, 7])))
    expect(dataset.notes()).toEqual([])
    for await (const item of dataset.items()) {
      const index = Number(/(\d+)\.png$/.exec(item.path)?.[1])
      const pixels = await sharp(join(pulled.folder, item.path)).raw().toBuffer()
      expect([...pixels]).toEqual(new Array(12).fill(index + (item.split === 'test' ? 100 : 0)))
      expect(item.label).toBe(classes[index % 3])
    }
  })

  it('reuses what is whole, even offline, and mends what is not', async () => {
    const { folder } = await pullDataset(card, { cacheFolder, offline: true })
    const path = join(folder, 'test/cat', (await readdir(join(folder, 'test/cat')))[0]!)
    const good = await readFile(path)
    expect((await pullDataset(card, { cacheFolder, offline: true })).reused).toBe(true)
    await writeFile(path, good.subarray(1))
    expect((await pullDataset(card, { cacheFolder, offline: true })).reused).toBe(false)
    expect(await readFile(path)).toEqual(good)
  })

  it('gives each seed and size a folder of its own, and leaves nothing half-written when interrupted', async () => {
    const other = await pullDataset(card, { cacheFolder, seed: 8, trainPerClass: 3 })
    expect(other.folder).toBe(join(cacheFolder, 'datasets', 'owls-3x2-seed8'))
    const controller = new AbortController()
    const progress = { task: () => ({ update: () => controller.abort(), end() {} }), say() {} }
    await expect(
      pullDataset(card, { cacheFolder, seed: 9, signal: controller.signal, progress }),
    ).rejects.toMatchObject({ code: 'INTERRUPTED' })
    expect((await readdir(join(cacheFolder, 'datasets'))).sort()).toEqual(['owls-3x2-seed8', 'owls-5x2-seed7'])
  })

  it('refuses more images than there are', async () => {
    await expect(pullDataset(card, { cacheFolder, trainPerClass: 21 })).rejects.toMatchObject({
      code: 'USAGE_SUBSET',
      hint: expect.stringContaining('20'),
    })
    expect(() => planPull(card, { cacheFolder, testPerClass: 0 })).toThrow('testPerClass')
  })

  it('chooses by seed, each class alike', () => {
    const labels = Array.from({ length: 100 }, (_, i) => i % 4)
    const chosen = chooseBalanced(labels, 4, 6, 'a')
    expect(chosen).toEqual(chooseBalanced(labels, 4, 6, 'a'))
    expect(chosen).not.toEqual(chooseBalanced(labels, 4, 6, 'b'))
    expect([0, 1, 2, 3].map((label) => chosen.filter((index) => index % 4 === label).length)).toEqual([6, 6, 6, 6])
  })
})

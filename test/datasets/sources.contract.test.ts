import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { openDataset, scanDataset } from '../../src/datasets/open.js'
import { readImage } from '../../src/datasets/read.js'
import { datasetSources } from '../../src/datasets/registry.js'
import { makeTar } from '../base/fetch/servers.js'
import { allItems, fixture } from './helpers.js'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-contract-'))
})
afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

/**
 * Makes a small labelled data set of each form and gives its path; two of its labels, and one more image on request.
 */
const examples: Record<string, (place: string, extra: boolean) => Promise<string>> = {
  async folder(place, extra) {
    for (const name of ['cat/1.jpg', 'cat/2.jpg', 'dog/1.jpg', ...(extra ? ['dog/9.jpg'] : [])]) {
      await mkdir(dirname(join(place, name)), { recursive: true })
      await writeFile(join(place, name), `bytes of ${name}`)
    }
    return place
  },
  async image(place, extra) {
    await writeFile(join(place, 'one.png'), extra ? 'longer bytes' : 'bytes')
    return join(place, 'one.png')
  },
  async csv(place, extra) {
    await examples.folder!(place, extra)
    await writeFile(join(place, 'l.csv'), `path,label\ncat/2.jpg,cat\ndog/1.jpg,dog\n${extra ? 'dog/9.jpg,dog\n' : ''}`)
    return join(place, 'l.csv')
  },
  async jsonl(place, extra) {
    await examples.folder!(place, extra)
    const rows = ['cat/2.jpg', 'dog/1.jpg', ...(extra ? ['dog/9.jpg'] : [])]
    await writeFile(
      join(place, 'l.jsonl'),
      rows.map((path) => JSON.stringify({ path, label: path.slice(0, 3) })).join('\n'),
    )
    return join(place, 'l.jsonl')
  },
  async webdataset(place, extra) {
    const keys = ['1', '2', ...(extra ? ['3'] : [])]
    const entries = keys.flatMap((key) => [
      { name: `${key}.jpg`, body: Buffer.from(`image ${key}`) },
      { name: `${key}.cls`, body: Buffer.from(key) },
    ])
    await writeFile(join(place, 'shard.tar'), makeTar(entries))
    return join(place, 'shard.tar')
  },
  async parquet(place, extra) {
    await cp(fixture('plain.parquet'), join(place, 'a.parquet'))
    if (extra) await cp(fixture('plain.parquet'), join(place, 'b.parquet'))
    return place
  },
}

describe.each(datasetSources.map((source) => source.id))('dataset source %s', (id) => {
  const make = async (extra = false): Promise<string> => {
    const example = examples[id]
    if (!example) throw new Error(`the contract suite needs an example of "${id}"`)
    return example(await mkdtemp(join(root, 'place-')), extra)
  }

  it('is the one that recognises its example, and says how it reads it', async () => {
    const dataset = await openDataset(await make())
    expect(dataset.source).toBe(id)
    expect(dataset.decision).toMatch(/^[^\n]+\.$/)
  })

  it('gives the same items in the same order each time, with ids of their own', async () => {
    const path = await make()
    const dataset = await openDataset(path)
    const walk = async (): Promise<string[]> => {
      const ids: string[] = []
      for await (const item of dataset.items()) ids.push(item.id)
      return ids
    }
    const first = await walk()
    expect(first.length).toBeGreaterThan(0)
    expect(new Set(first).size).toBe(first.length)
    expect(await walk()).toEqual(first)
    expect((await allItems(path)).map((item) => item.id)).toEqual(first)
  })

  it('gives bytes as long as it says, also after the walk, and loads that a worker can be sent', async () => {
    for (const item of await allItems(await make())) {
      expect((await readImage(item.load)).length).toBe(item.size)
      expect(item.size).toBeGreaterThan(0)
      if (item.load.kind !== 'bytes') expect(structuredClone(item.load)).toEqual(item.load)
    }
  })

  it('labels its items, unless it has no labels', async () => {
    const { labels, unlabelled } = await scanDataset(await openDataset(await make()))
    if (id === 'image') expect([labels.size, unlabelled]).toEqual([0, 1])
    else {
      expect(labels.size).toBeGreaterThanOrEqual(2)
      expect(unlabelled).toBe(0)
    }
  })

  it('has one fingerprint wherever it lies, and another when something is added', async () => {
    const print = async (path: string): Promise<string> => (await scanDataset(await openDataset(path))).fingerprint
    const path = await make()
    const first = await print(path)
    expect(first).toMatch(/^[0-9a-f]{64}$/)
    expect(await print(await make())).toBe(first)
    expect(await print(await make(true))).not.toBe(first)
  })

  it('can be left early and interrupted', async () => {
    const dataset = await openDataset(await make())
    for await (const _item of dataset.items()) break
    if (id === 'image') return expect((await scanDataset(dataset)).count).toBe(1)
    await expect(
      (async () => {
        for await (const _item of dataset.items(AbortSignal.abort()));
      })(),
    ).rejects.toMatchObject({ code: 'INTERRUPTED' })
  })
})

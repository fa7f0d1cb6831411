import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { executeExtraction } from '../../../src/embeddings/extract/extract.js'
import { planExtraction } from '../../../src/embeddings/store/plan.js'
import { openStore, readTable, readThumbs } from '../../../src/embeddings/store/store.js'
import { fakeJob, fakePlan } from '../fake.js'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-extract-'))
})
afterEach(async () => {
  await rm(root, { recursive: true, force: true })
})

async function contents(folder: string): Promise<Map<string, string>> {
  const names = (await readdir(folder)).sort()
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, (await readFile(join(folder, name))).toString('base64')] as const),
    ),
  )
}

describe('executeExtraction', () => {
  it('writes rows in plan order, whatever order decoding ends in', async () => {
    const out = join(root, 'store')
    const summary = await executeExtraction(fakeJob(out, fakePlan(37)))
    expect(summary).toMatchObject({ rows: 37, failures: 0, computedShards: 4, reusedShards: 0 })
    const table = await readTable(await openStore(out))
    expect(table.rows).toBe(37)
    expect(table.ids[36]).toBe('p36')
    expect([...table.x.subarray(36 * 3)]).toEqual([36 * 12, 36, 1])
    expect(table.labels.slice(4, 8)).toEqual(['class1', 'class2', null, 'class1'])
    expect(table.splits.slice(0, 2)).toEqual(['train', 'test'])
    expect(table.classes).toEqual(['class0', 'class1', 'class2'])
    expect((await readThumbs(await openStore(out))).get('p5')?.webp).toEqual(new Uint8Array([5]))
  })

  it('lists images that cannot be decoded and keeps the others aligned', async () => {
    const out = join(root, 'store')
    const summary = await executeExtraction(fakeJob(out, fakePlan(20), [0, 5, 6, 7, 4, 19]))
    expect(summary).toMatchObject({ rows: 14, failures: 6 })
    const table = await readTable(await openStore(out))
    expect(table.ids).not.toContain('p5')
    for (let row = 0; row < table.rows; row++) expect(table.x[row * 3 + 1]).toBe(Number(table.ids[row]!.slice(1)))
    const failures = (await readFile(join(out, 'failures.jsonl'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(failures.map((failure) => failure.id)).toEqual(['p0', 'p4', 'p5', 'p6', 'p7', 'p19'])
    expect(failures[0]).toEqual({
      id: 'p0',
      path: 'class0/p0.png',
      code: 'IMAGE_BROKEN',
      message: 'number 0 is broken',
    })
  })

  it('survives a data set of which no image can be read', async () => {
    const out = join(root, 'store')
    const summary = await executeExtraction(fakeJob(out, fakePlan(3), [0, 1, 2]))
    expect(summary).toMatchObject({ rows: 0, failures: 3 })
    expect((await readTable(await openStore(out))).rows).toBe(0)
  })

  it('gives equal bytes whatever the batch size, and computes nothing twice', async () => {
    const plan = fakePlan(37)
    await executeExtraction({ ...fakeJob(join(root, 'a'), plan), batch: 1 })
    const seen: number[] = []
    await executeExtraction({ ...fakeJob(join(root, 'b'), plan, [], seen), batch: 16 })
    expect(await contents(join(root, 'a'))).toEqual(await contents(join(root, 'b')))
    seen.length = 0
    const again = await executeExtraction(fakeJob(join(root, 'b'), plan, [], seen))
    expect(seen).toEqual([])
    expect(again).toMatchObject({ rows: 37, computedShards: 0, reusedShards: 4 })
  })

  it('keeps whole shards when it is interrupted, and the same call does the rest', async () => {
    const plan = fakePlan(95)
    const out = join(root, 'store')
    const controller = new AbortController()
    const seen: number[] = []
    const job = fakeJob(out, plan, [], seen)
    const decode = job.decoder.decode
    const interrupted = executeExtraction({
      ...job,
      signal: controller.signal,
      decoder: {
        decode: (source, buffer, offset) => {
          if (source === 50) controller.abort()
          return decode(source, buffer, offset)
        },
      },
    })
    await expect(interrupted).rejects.toMatchObject({ code: 'INTERRUPTED' })
    const names = await readdir(out)
    expect(names).not.toContain('manifest.json')
    expect(names.some((name) => name.endsWith('.tmp'))).toBe(false)
    const whole = names.filter((name) => /^shard-.*json$/.test(name)).length
    expect(whole).toBeGreaterThanOrEqual(3)
    expect(whole).toBeLessThan(10)
    const before = seen.length
    const resumed = await executeExtraction(fakeJob(out, plan, [], seen))
    expect(resumed.reusedShards).toBe(whole)
    expect(Math.min(...seen.slice(before))).toBe(whole * 10)
    await executeExtraction(fakeJob(join(root, 'uninterrupted'), plan))
    expect(await contents(out)).toEqual(await contents(join(root, 'uninterrupted')))
  })

  it('writes the shards that are complete when the data set ends with an error, and throws that', async () => {
    const plan = fakePlan(95)
    const out = join(root, 'store')
    const job = fakeJob(out, plan)
    const broken = executeExtraction({
      ...job,
      items: async function* () {
        let count = 0
        for await (const item of job.items()) {
          if (count++ === 35) throw new Error('the archive ends here')
          yield item
        }
      },
    })
    await expect(broken).rejects.toThrow('the archive ends here')
    const names = await readdir(out)
    expect(names.filter((name) => /^shard-.*json$/.test(name))).toEqual([
      'shard-00000.json',
      'shard-00001.json',
      'shard-00002.json',
    ])
    expect((await executeExtraction(fakeJob(out, plan))).reusedShards).toBe(3)
  })

  it('adopts a whole Arrow file whose commit is missing, and recomputes a broken one', async () => {
    const plan = fakePlan(30)
    const out = join(root, 'store')
    await executeExtraction(fakeJob(out, plan))
    const before = await contents(out)
    await rm(join(out, 'shard-00000.json'))
    await rm(join(out, 'shard-00001.json'))
    await rm(join(out, 'manifest.json'))
    const arrow = await readFile(join(out, 'shard-00001.arrow'))
    await writeFile(join(out, 'shard-00001.arrow'), arrow.subarray(0, arrow.length - 40))
    const seen: number[] = []
    await executeExtraction(fakeJob(out, plan, [], seen))
    expect([...seen].sort((a, b) => a - b)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
    expect(await contents(out)).toEqual(before)
  })

  it('joins parts that separate processes computed', async () => {
    const plan = fakePlan(45)
    const parts = join(root, 'parts')
    for (const part of [2, 0, 3])
      expect((await executeExtraction({ ...fakeJob(parts, plan), parts: 4, part })).manifest).toBeNull()
    expect((await executeExtraction({ ...fakeJob(parts, plan), parts: 4, part: 1 })).manifest?.rows).toBe(45)
    await executeExtraction(fakeJob(join(root, 'one'), plan))
    expect(await contents(parts)).toEqual(await contents(join(root, 'one')))
  })

  it('redoes the shards with failures when asked', async () => {
    const plan = fakePlan(30)
    const out = join(root, 'store')
    await executeExtraction(fakeJob(out, plan, [12]))
    const seen: number[] = []
    const summary = await executeExtraction({ ...fakeJob(out, plan, [], seen), retryFailed: true })
    expect(summary).toMatchObject({ rows: 30, failures: 0, computedShards: 1 })
    expect(Math.min(...seen)).toBe(10)
    expect(Math.max(...seen)).toBe(19)
  })

  it('refuses a folder that is something else, and --force deletes only what is its own', async () => {
    const out = join(root, 'store')
    await mkdir(out)
    await writeFile(join(out, 'notes.txt'), 'mine')
    await expect(executeExtraction(fakeJob(out, fakePlan(5)))).rejects.toMatchObject({ code: 'OUT_NOT_A_STORE' })
    expect(await readdir(out)).toEqual(['notes.txt'])
    const other = join(root, 'other')
    await executeExtraction(fakeJob(other, fakePlan(25)))
    await writeFile(join(other, 'notes.txt'), 'mine')
    const next = fakePlan(5)
    await expect(executeExtraction(fakeJob(other, next))).rejects.toMatchObject({
      code: 'OUT_OTHER_PLAN',
      message: expect.stringContaining('dataset, shards'),
    })
    await executeExtraction({ ...fakeJob(other, next), force: true })
    expect(await readdir(other)).toEqual(expect.arrayContaining(['notes.txt', 'shard-00000.arrow']))
    expect(await readdir(other)).not.toContain('shard-00002.arrow')
    expect((await readTable(await openStore(other))).rows).toBe(5)
  })

  it('stops with the error of the network, and writes no shard of it', async () => {
    const out = join(root, 'store')
    const job = fakeJob(out, fakePlan(30))
    const failing = { run: () => Promise.reject(new Error('out of memory')) }
    await expect(executeExtraction({ ...job, inference: failing })).rejects.toThrow('out of memory')
    expect(await readdir(out)).toEqual(['plan.json'])
  })
})

describe('planExtraction', () => {
  it('says where shards begin, and bounds them by bytes', () => {
    expect(fakePlan(25).shards).toEqual([0, 10, 20])
    const { shards } = planExtraction({
      ...fakePlan(5000),
      recipe: null,
      layers: [{ name: 'fc7', tensor: 't', dim: 4096 }],
    })
    expect(shards.slice(0, 3)).toEqual([0, 1024, 2048])
    const wide = planExtraction({ ...fakePlan(5000), recipe: null, layers: [{ name: 'c', tensor: 't', dim: 100_352 }] })
    expect(wide.shards[1]).toBe(83)
  })

  it('refuses nothing to do', () => {
    expect(() => fakePlan(0)).toThrow('holds no image')
  })
})

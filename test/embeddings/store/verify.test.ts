import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { executeExtraction } from '../../../src/embeddings/extract/extract.js'
import { mergeStores } from '../../../src/embeddings/store/merge.js'
import { verifyStore } from '../../../src/embeddings/store/verify.js'
import { fakeJob, fakePlan } from '../fake.js'

let root: string
let store: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-verify-'))
  store = join(root, 'store')
})
afterEach(async () => {
  await rm(root, { recursive: true, force: true })
})

const problems = async (): Promise<string[]> =>
  (await verifyStore(store)).findings.map((finding) => `${finding.severity} ${finding.file} ${finding.problem}`)

describe('verifyStore', () => {
  it('finds nothing wrong with a whole store', async () => {
    await executeExtraction(fakeJob(store, fakePlan(25), [3]))
    // Image 0 is black: its embedding still ends in 1, so no row is all zeros.
    expect(await verifyStore(store)).toEqual({ ok: true, rows: 24, failures: 1, findings: [] })
  })

  it('names a flipped bit, a missing shard, a missing thumbnail file and a wrong count', async () => {
    await executeExtraction(fakeJob(store, fakePlan(45)))
    const shard = join(store, 'shard-00001.arrow')
    const bytes = await readFile(shard)
    bytes[bytes.length >> 1] = bytes[bytes.length >> 1]! ^ 1
    await writeFile(shard, bytes)
    await rm(join(store, 'shard-00002.arrow'))
    await rm(join(store, 'thumbs-00003.arrow'))
    const commit = join(store, 'shard-00004.json')
    await writeFile(commit, (await readFile(commit, 'utf8')).replace('"rows": 5', '"rows": 6'))
    const found = await problems()
    expect(found).toContain('error shard-00001.arrow its bytes do not have the sha256 of its commit file')
    expect(found).toContain('error shard-00002.arrow is missing')
    expect(found).toContain('warning thumbs-00003.arrow is missing: reports will have no images of this shard')
    expect(found).toContain('error shard-00004.arrow holds 5 rows, its commit file says 6')
    expect(found).toContain('error manifest.json says 45 rows, the shards hold 46')
  })

  it('finds NaN, infinity and rows of zeros', async () => {
    const job = fakeJob(store, fakePlan(5))
    await executeExtraction({
      ...job,
      inference: {
        async run(pixels, dims) {
          const result = await job.inference.run(pixels, dims)
          const data = result.outputs[0]!.data
          if (dims[0] === 4) data.set([0, 0, 0, Number.NaN, 1, 1, 1, Number.POSITIVE_INFINITY, 1])
          return result
        },
      },
    })
    expect(await problems()).toEqual([
      'warning shard-00000.arrow row 0 (p0) of layer fc7 is all zeros',
      'error shard-00000.arrow row 1 (p1) of layer fc7 holds NaN or infinity',
      'error shard-00000.arrow row 2 (p2) of layer fc7 holds NaN or infinity',
    ])
    expect((await verifyStore(store)).ok).toBe(false)
  })

  it('refuses a folder that is no store', async () => {
    await expect(verifyStore(root)).rejects.toMatchObject({ code: 'STORE_MISSING' })
  })
})

describe('mergeStores', () => {
  it('joins parts into the store of one process, says what is missing, and refuses other plans', async () => {
    const plan = fakePlan(45)
    for (const part of [0, 1])
      await executeExtraction({ ...fakeJob(join(root, `part${part}`), plan, [7]), parts: 2, part })
    expect((await mergeStores([join(root, 'part0')], join(root, 'half'))).missing).toEqual([1, 3])
    const { manifest } = await mergeStores([join(root, 'part0'), join(root, 'part1')], store)
    expect(manifest).toMatchObject({ rows: 44, failures: 1 })
    await executeExtraction(fakeJob(join(root, 'one'), plan, [7]))
    for (const name of await readdir(join(root, 'one'))) {
      expect((await readFile(join(store, name))).equals(await readFile(join(root, 'one', name)))).toBe(true)
    }
    await executeExtraction(fakeJob(join(root, 'other'), fakePlan(44)))
    await expect(mergeStores([store, join(root, 'other')], join(root, 'x'))).rejects.toMatchObject({
      code: 'MERGE_PLANS',
    })
  })
})

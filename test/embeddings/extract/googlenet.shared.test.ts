import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { fromHalf } from '../../../src/embeddings/store/arrow.js'
import { cosine, extractRows, fixtures, listOf, readJsonFixture } from '../reference.js'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-googlenet-'))
})
afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

const dim = 1024

describe('GoogLeNet embeddings of 24 real images, recorded with Pillow and Python onnxruntime on the published file', () => {
  it.each([
    ['caffe', 0, 0.99999],
    ['keras-caffe', 1, 0.999999],
  ] as const)(
    '%s',
    async (recipe, place, minCosine) => {
      const { recipes, paths } = (await readJsonFixture('googlenet.json')) as { recipes: string[]; paths: string[] }
      expect([recipes[place], paths.length]).toEqual([recipe, 24])
      const halves = new Uint16Array((await readFile(new URL('googlenet.bin', fixtures))).buffer.slice(0))
      const recorded = fromHalf(halves.subarray(place * 24 * dim, (place + 1) * 24 * dim))
      await writeFile(join(root, 'list.csv'), listOf(paths))
      const { paths: found, row } = await extractRows(
        join(root, 'list.csv'),
        recipe,
        join(root, recipe),
        join(root, 'cache'),
        ['--allow-outside'],
      )
      expect(found).toHaveLength(24)
      const cosines = paths.map((_, i) => cosine(row(i), recorded.subarray(i * dim, (i + 1) * dim)))
      console.log(`${recipe}: smallest cosine ${Math.min(...cosines)}`)
      expect(Math.min(...cosines)).toBeGreaterThanOrEqual(minCosine)
    },
    120_000,
  )
})

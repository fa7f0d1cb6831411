import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { expect, it } from '@jest/globals'
import { loadCards } from '../../src/backbones/library.js'

const catalog = join(resolve(process.env.FC7_SHARED ?? '../shared'), 'catalog', 'onnx-model-zoo.json')

/** Which file of the zoo a card is about, by the network's name in it; quantised variants are not fc7's. */
const variants = /-(int8|qdq)\.onnx$/

it('url, sha256 and size of every card of the zoo are those that the catalogue records, and no network is left out', async () => {
  const { models } = JSON.parse(await readFile(catalog, 'utf8')) as {
    models: { path: string; url: string; sha256: string; bytes: number }[]
  }
  const plain = models.filter(({ path }) => !variants.test(path))
  const { cards } = await loadCards()
  const sources = cards.flatMap(({ card }) => card.sources.filter((source) => source.kind === 'url'))
  const key = ({ url, sha256, bytes }: { url: string; sha256: string; bytes?: number | undefined }): string =>
    `${url} ${sha256} ${bytes}`
  expect(sources.map(key).sort()).toEqual(plain.map(key).sort())
})

import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { buildExtractionGraph, type Extraction } from '../../src/backbones/extraction.js'
import { extractionGraphFile } from '../../src/backbones/graph-file.js'
import { namedRecipe } from '../../src/images/recipe/recipe.js'
import { encodeModel } from '../../src/onnx/build.js'
import { decodeModel, readModel } from '../../src/onnx/read.js'
import { loadOrt } from '../../src/runtime/ort.js'
import { closeSession, openSession } from '../../src/runtime/session.js'
import { tinyModel, tinySide } from '../support/tiny.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fc7-graphs-'))
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

const recipe = namedRecipe('torchvision', { width: tinySide, height: tinySide })
const graphFor = (layers: string[]): Extraction => buildExtractionGraph(decodeModel(tinyModel()), { recipe, layers })

async function values(model: string | Uint8Array, output: string): Promise<Float32Array> {
  const session = await openSession(model)
  const pixels = Uint8Array.from({ length: 2 * tinySide * tinySide * 3 }, (_, i) => (i * 37) & 255)
  const result = await session.run({ pixels: new (loadOrt().Tensor)('uint8', pixels, [2, tinySide, tinySide, 3]) })
  await closeSession(session)
  return result[output]!.data as Float32Array
}

it('keeps the weights once for all graphs of a backbone, which run as they would alone', async () => {
  for (const [graph, layers] of [
    ['a', ['relu7']],
    ['b', ['relu2', 'relu7']],
  ] as const) {
    const extraction = graphFor([...layers])
    const path = await extractionGraphFile(extraction, folder, { graph, weights: 'w' })
    // A graph alone is a few kilobytes; fc7's weights take 98 of them.
    expect((await stat(path)).size).toBeLessThan(10_000)
    expect(await values(path, 'layer:relu7')).toEqual(await values(encodeModel(extraction.model), 'layer:relu7'))
    expect(encodeModel(await readModel(path)).length).toBeGreaterThan(100_000)
  }
  expect((await readdir(folder)).sort()).toEqual([
    'a.onnx',
    'a.onnx.json',
    'b.onnx',
    'b.onnx.json',
    'w.weights',
    'w.weights.json',
  ])
})

it('writes again what is damaged, and nothing that is whole', async () => {
  const names = { graph: 'a', weights: 'w' }
  const [graph, weights] = [join(folder, 'a.onnx'), join(folder, 'w.weights')]
  const [wholeGraph, wholeWeights] = [await readFile(graph), await readFile(weights)]
  const times = async (): Promise<number[]> => [(await stat(graph)).mtimeMs, (await stat(weights)).mtimeMs]
  const before = await times()
  await extractionGraphFile(graphFor(['relu7']), folder, names)
  expect(await times()).toEqual(before)
  await writeFile(weights, wholeWeights.subarray(1))
  await writeFile(`${graph}.json`, 'not JSON')
  await extractionGraphFile(graphFor(['relu7']), folder, names)
  expect((await readFile(weights)).equals(wholeWeights)).toBe(true)
  expect((await readFile(graph)).equals(wholeGraph)).toBe(true)
  await rm(graph)
  await extractionGraphFile(graphFor(['relu7']), folder, names)
  expect((await readFile(graph)).equals(wholeGraph)).toBe(true)
})

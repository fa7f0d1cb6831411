import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { buildExtractionGraph } from '../../src/backbones/extraction.js'
import { createRandom } from '../../src/base/random.js'
import { buildBundle, writeBundle } from '../../src/bundle/bundle.js'
import { type Classifier, fitClassifier } from '../../src/classifiers/classifier.js'
import { namedRecipe } from '../../src/images/recipe/recipe.js'
import { encodeModel } from '../../src/onnx/build.js'
import { withModel } from '../../src/onnx/edit.js'
import { decodeModel, readModel } from '../../src/onnx/read.js'
import { graphOf } from '../../src/onnx/walk.js'
import { loadOrt } from '../../src/runtime/ort.js'
import { openSession } from '../../src/runtime/session.js'
import { getTrainer } from '../../src/trainers/registry.js'
import { tinyModel, tinySide } from '../support/tiny.js'
import { clusters } from '../trainers/data.js'

const recipe = { name: 'torchvision', steps: namedRecipe('torchvision', { width: tinySide, height: tinySide }) }
const extraction = { tensor: 'relu2', pool: 'avg', resize: 'exact', orient: false, recipe } as const
const provenance = { backbone: 'tiny', layer: 'relu2', recipe: 'torchvision', extraction }
const backbone = decodeModel(tinyModel())

const train = (trainer: string, options: object = {}): Promise<Classifier> =>
  fitClassifier({ trainer: getTrainer(trainer), set: clusters(60, 16, 3), provenance, ...options })

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-bundle-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

describe('a bundle', () => {
  it('runs from pixels to classes, as network and classifier one after the other', async () => {
    const { Tensor } = loadOrt()
    const random = createRandom('pixels')
    const pixels = new Tensor(
      'uint8',
      Uint8Array.from({ length: 3 * tinySide ** 2 * 3 }, () => random.int(256)),
      [3, tinySide, tinySide, 3],
    )
    const trunk = buildExtractionGraph(backbone, { recipe: recipe.steps, layers: ['relu2'] })
    const embed = await openSession(encodeModel(trunk.model))
    const x = (await embed.run({ pixels }))['layer:relu2']!.data as Float32Array
    for (const [trainer, calibrate] of [
      ['logistic', undefined],
      ['linear-svm', 'sigmoid'],
      ['random-forest', undefined],
    ] as const) {
      const classifier = await train(trainer, calibrate ? { calibrate } : {})
      const out = join(root, `${trainer}.onnx`)
      const { files, check } = await writeBundle(buildBundle(classifier, backbone, undefined), classifier, out)
      expect(files).toEqual([out])
      expect(check.difference).toBeLessThan(1e-5)
      const outputs = await (await openSession(out)).run({ pixels })
      const expected = await classifier.predictScores({ data: x, rows: 3, cols: 16 })
      const scores = outputs.probabilities!.data as Float32Array
      for (let i = 0; i < 9; i++) expect(scores[i]!).toBeCloseTo(expected[i]!, 5)
      const { metadataProps } = await readModel(out)
      const metadata = new Map(
        metadataProps.map(({ key, value }) => [key, JSON.parse(value.replace(/^(?![[{]).*/, '0'))]),
      )
      expect(metadata.get('fc7.input')).toMatchObject({ height: tinySide, width: tinySide, order: 'RGB' })
      expect(metadata.get('fc7.resize')).toMatchObject({ resize: { mode: 'short-side' } })
    }
    expect((await readdir(root)).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })

  it('keeps its outputs apart from tensors of the network that have their names', async () => {
    const renamed = decodeModel(tinyModel())
    for (const node of graphOf(renamed).node) {
      node.input = node.input.map((name) => (name === 'conv1' ? 'label' : name === 'relu1' ? 'probabilities' : name))
      node.output = node.output.map((name) => (name === 'conv1' ? 'label' : name === 'relu1' ? 'probabilities' : name))
    }
    const classifier = await train('logistic')
    const out = join(root, 'names.onnx')
    await writeBundle(buildBundle(classifier, withModel(renamed, {}), undefined), classifier, out)
    expect(await readdir(root)).toContain('names.onnx')
  })

  it('is refused for another network and for embeddings made elsewhere', async () => {
    const classifier = await train('logistic')
    const { extraction: _, ...elsewhere } = provenance
    const of = (own: Partial<Classifier['info']['provenance']>) =>
      train('logistic', { provenance: { ...provenance, ...own } })
    await expect(
      (async () => buildBundle(await of({ extraction: { ...extraction, tensor: 'fc7' } }), backbone, undefined))(),
    ).rejects.toMatchObject({ code: 'CLASSIFIER_MISMATCH' })
    await expect(
      (async () => buildBundle(await train('logistic', { provenance: elsewhere }), backbone, undefined))(),
    ).rejects.toMatchObject({ code: 'BUNDLE_NO_RECIPE' })
    await expect(writeBundle(buildBundle(classifier, backbone, undefined), classifier, root)).rejects.toMatchObject({
      code: 'USAGE_OUT',
    })
  })

  it('is not written where its scores are not those of its parts', async () => {
    const classifier = await train('logistic')
    const bundle = buildBundle(classifier, backbone, undefined)
    const out = join(root, 'wrong.onnx')
    const other = Object.create(classifier, {
      predictScores: {
        value: async (...args: Parameters<Classifier['predictScores']>) =>
          (await classifier.predictScores(...args)).map((p) => 1 - p),
      },
    }) as Classifier
    await expect(writeBundle(bundle, other, out)).rejects.toMatchObject({ code: 'BUNDLE_DIFFERS' })
    expect(await readdir(root)).not.toContain('wrong.onnx')
  })
})

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { buildExtractionGraph } from '../../src/backbones/extraction.js'
import { imageInput } from '../../src/backbones/prepare.js'
import { buildBundle, writeBundle } from '../../src/bundle/bundle.js'
import { fitClassifier } from '../../src/classifiers/classifier.js'
import { namedRecipe } from '../../src/images/recipe/recipe.js'
import { readModel } from '../../src/onnx/read.js'
import { getTrainer } from '../../src/trainers/registry.js'
import { clusters } from '../trainers/data.js'

const models = join(process.env.FC7_SHARED ?? '../shared', 'models')

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-bundles-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

/** Networks of operator sets 9 and 13 with their own recipes, and classifiers of different kinds on top. */
describe('published networks become bundles that agree with their parts', () => {
  it.each([
    ['googlenet-bvlc', 'caffe', 'linear-svm', 'isotonic'],
    ['squeezenet1.1', 'caffe', 'logistic', undefined],
    ['mobilenet-v2', 'keras-tf', 'random-forest', undefined],
    ['topologies/light_resnet50', 'torchvision', 'knn', undefined],
    ['topologies/light_shufflenet', 'torchvision', 'linear-svm', 'isotonic'],
  ] as const)(
    '%s, %s, %s',
    async (name, recipeName, trainer, calibrate) => {
      const backbone = await readModel(join(models, `${name}.onnx`))
      const { width = 224, height = 224 } = imageInput(backbone)
      const recipe = { name: recipeName, steps: namedRecipe(recipeName, { width, height }) }
      const layer = buildExtractionGraph(backbone, { recipe: recipe.steps }).layers[0]!
      const extraction = { tensor: layer.tensor, pool: 'avg', resize: 'exact', orient: false, recipe } as const
      const classifier = await fitClassifier({
        trainer: getTrainer(trainer),
        set: clusters(60, layer.dim, 5),
        ...(calibrate ? { calibrate } : {}),
        provenance: { backbone: name, layer: layer.layer, recipe: recipeName, extraction },
      })
      const { check } = await writeBundle(
        buildBundle(classifier, backbone, undefined),
        classifier,
        join(root, `${name.replace('/', '-')}.onnx`),
        { threads: 2 },
      )
      console.log(`${name}: difference ${check.difference}`)
      expect(check.difference).toBeLessThan(1e-5)
    },
    120_000,
  )
})

import { readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { prepareBackbone } from '../../src/backbones/prepare.js'
import { createRandom } from '../../src/base/random.js'
import { defaultBoundary, wholeModel } from '../../src/finetune/plan/boundaries.js'
import { buildHeaded } from '../../src/finetune/plan/headed.js'
import { trainedParameters } from '../../src/finetune/plan/network.js'
import { namedRecipe } from '../../src/images/recipe/recipe.js'
import { withRandomWeights } from '../../src/onnx/random-weights.js'
import { readModel } from '../../src/onnx/read.js'
import { buildTrainingGraph } from '../../src/training/graph/graph.js'
import { prepareNetwork } from '../../src/training/network.js'
import { TrainingRunner } from '../../src/training/runner.js'

const folder = join(resolve(process.env.FC7_SHARED ?? '../shared'), 'models', 'topologies')
const sample = process.env.FC7_TORTURE === 'sample'
const files = readdirSync(folder).filter(
  (name) => name.endsWith('.onnx') && (!sample || /squeezenet|shufflenet/.test(name)),
)
const batch = 2
const steps = 20
const perRun = 10
const patienceMs = 240_000

describe.each(files)('%s', (file) => {
  it.each(['head', 'last', 'all'])(
    '%s: the loss falls over 20 steps',
    async (strategy) => {
      const model = withRandomWeights(await readModel(join(folder, file)), file)
      const { width = 224, height = 224 } = prepareBackbone(model).input
      const recipe = namedRecipe('torchvision', { width, height })
      const network = buildHeaded(model, { recipe, outputs: 2, random: createRandom(0) })
      const boundary =
        strategy === 'head' ? network.features : strategy === 'last' ? defaultBoundary(network) : network.boundaries[0]!
      const graph = buildTrainingGraph({
        network: prepareNetwork(wholeModel(network, boundary), batch),
        logits: 'logits',
        trainable: trainedParameters(network, boundary).map(({ name }) => name),
        loss: { kind: 'softmax' },
        // Adam's steps do not depend on the scale of values, which random weights leave open.
        optimizer: { kind: 'adam' },
        clipNorm: 1,
        // The two rows go through the frozen part once a run.
        frozenOutside: true,
      })
      const runner = await TrainingRunner.open(graph, { threads: 2 })
      const random = createRandom(file)
      const data = Uint8Array.from({ length: batch * width * height * 3 }, () => random.int(256))
      runner.setRows({ data, labels: [0, 1] })
      const losses: number[] = []
      for (let done = 0; done < steps; done += perRun) {
        const index = Array.from({ length: perRun * batch }, (_, i) => i % batch)
        const { loss } = await runner.run({ index, lr: new Array(perRun).fill(1e-4), seed: 0, epoch: 0 })
        losses.push(...loss)
      }
      await runner.close()
      expect(losses.every(Number.isFinite)).toBe(true)
      const mean = (list: readonly number[]) => list.reduce((a, b) => a + b, 0) / list.length
      expect(mean(losses.slice(-5))).toBeLessThan(mean(losses.slice(0, 2)))
    },
    patienceMs,
  )
})

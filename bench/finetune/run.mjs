// Step time of fine-tuning beside PyTorch in the same run: node bench/finetune/run.mjs [network] [strategies] [steps]
// Needs a build, ../shared/models/topologies and, for the ratio, FC7_PYTHON with torch and torchvision.
import { spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createRandom } from '../../dist/base/random.js'
import { buildHeaded, defaultBoundary, trainedParameters, upperModel, wholeModel } from '../../dist/finetune/network.js'
import { namedRecipe } from '../../dist/images/recipe.js'
import { readModel } from '../../dist/onnx/read.js'
import { buildTrainingGraph } from '../../dist/training/graph.js'
import { prepareNetwork } from '../../dist/training/network.js'
import { TrainingRunner } from '../../dist/training/runner.js'
import { withSeededWeights } from './seeded-weights.mjs'

const shared = join(resolve(process.env.FC7_SHARED ?? '../shared'), 'models', 'topologies')
const networks = {
  resnet50: { file: 'light_resnet50.onnx', batch: 8 },
  alexnet: { file: 'light_bvlc_alexnet.onnx', batch: 32 },
}
const targets = { head: 0.6, last: 0.9, all: 1.2 }
const wanted = process.argv[2] ?? 'resnet50,alexnet'
const strategies = (process.argv[3] ?? 'head,last,all').split(',')
const steps = Number(process.argv[4] ?? 20)
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]

/** Median milliseconds of a step; as many steps a run as the command line would make. */
async function stepTime(model, parameters, batch, perRun) {
  const network = prepareNetwork(model, batch)
  const graph = buildTrainingGraph({
    network,
    logits: 'logits',
    trainable: parameters.map(({ name }) => name),
    loss: { kind: 'softmax' },
    optimiser: { kind: 'sgd' },
    weightDecay: 1e-4,
    frozenOutside: true,
  })
  const runner = await TrainingRunner.open(graph, { threads: 2 })
  const rowsPerRun = perRun * batch
  const count = rowsPerRun * graph.rowShape.reduce((a, b) => a * b, 1)
  const random = createRandom(1)
  const Values = graph.inputType === 'uint8' ? Uint8Array : Float32Array
  const data = Values.from({ length: count }, () => (graph.inputType === 'uint8' ? random.int(256) : random.next()))
  const rows = Array.from({ length: rowsPerRun }, (_, i) => i)
  runner.setRows({ data, labels: rows.map((i) => i % 10) })
  const times = []
  for (let done = 0; done < steps + perRun; done += perRun) {
    const start = performance.now()
    await runner.run({
      index: rows,
      rates: new Array(perRun).fill(1e-6),
      seed: 1,
      epoch: 0,
    })
    times.push((performance.now() - start) / perRun)
  }
  await runner.close()
  return median(times.slice(1))
}

for (const name of wanted.split(',')) {
  const { file, batch } = networks[name]
  const model = withSeededWeights(await readModel(join(shared, file)), name)
  const recipe = namedRecipe('caffe', { width: 224, height: 224 })
  const network = buildHeaded(model, { recipe, outputs: 10, random: createRandom(0) })
  for (const strategy of strategies) {
    const boundary =
      strategy === 'head' ? network.features : strategy === 'last' ? defaultBoundary(network) : network.boundaries[0]
    const parameters = trainedParameters(network, boundary)
    const ours = await stepTime(wholeModel(network, boundary), parameters, batch, 4)
    const peak = Math.round(process.memoryUsage().rss / 2 ** 20)
    let torch
    if (process.env.FC7_PYTHON) {
      const script = fileURLToPath(new URL('./torch_steps.py', import.meta.url))
      const run = spawnSync(process.env.FC7_PYTHON, [script, name, strategy, String(batch), String(steps)], {
        encoding: 'utf8',
      })
      torch = run.status === 0 ? JSON.parse(run.stdout) : undefined
      if (torch === undefined) console.error(run.stderr)
    }
    const line = {
      network: name,
      strategy,
      batch,
      boundary: boundary.name,
      oursMs: Number(ours.toFixed(1)),
      imagesPerSecond: Number(((1000 * batch) / ours).toFixed(1)),
      residentMiB: peak,
      ...(torch
        ? { torchMs: Number(torch.toFixed(1)), ratio: Number((ours / torch).toFixed(2)), target: targets[strategy] }
        : {}),
    }
    if (strategy !== 'all') {
      const cached = await stepTime(upperModel(network, boundary), parameters, batch, 4)
      Object.assign(line, { cachedMs: Number(cached.toFixed(2)), cachedFaster: Number((ours / cached).toFixed(1)) })
    }
    console.log(JSON.stringify(line))
  }
}

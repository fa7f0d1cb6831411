// Step time of fine-tuning beside PyTorch in the same run: node bench/finetune/run.mjs [network] [strategies] [steps]
// Needs a build, ../shared/models/topologies and, for the ratio, FC7_PYTHON with torch and torchvision.
import { spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createRandom } from '../../dist/base/random.js'
import { defaultBoundary, upperModel, wholeModel } from '../../dist/finetune/plan/boundaries.js'
import { buildHeaded } from '../../dist/finetune/plan/headed.js'
import { trainedParameters } from '../../dist/finetune/plan/network.js'
import { parseOptions } from '../../dist/finetune/plan/options.js'
import { planFinetune } from '../../dist/finetune/plan/plan.js'
import { stepsPerRun } from '../../dist/finetune/train/epoch.js'
import { namedRecipe } from '../../dist/images/recipe/recipe.js'
import { withRandomWeights } from '../../dist/onnx/random-weights.js'
import { readModel } from '../../dist/onnx/read.js'
import { stepTime } from './step-time.mjs'

const shared = join(resolve(process.env.FC7_SHARED ?? '../shared'), 'models', 'topologies')
const networks = {
  resnet50: { file: 'light_resnet50.onnx', batchSize: 8 },
  alexnet: { file: 'light_bvlc_alexnet.onnx', batchSize: 32 },
}
const targets = { head: 0.6, last: 0.9, all: 1.2 }
const wanted = process.argv[2] ?? 'resnet50,alexnet'
const strategies = (process.argv[3] ?? 'head,last,all').split(',')
const steps = Number(process.argv[4] ?? 20)

/** Steps that the command line would make in a run over as many images as the bench has steps for. */
function stepsOfCommand(network, strategy, batch, cached) {
  const list = (count) => Array.from({ length: count }, (_, i) => i)
  const plan = planFinetune({
    network,
    card: {},
    backbone: { id: '', sha256: '', recipe: '' },
    dataset: { name: '', fingerprint: '' },
    classes: ['a', 'b'],
    roles: { train: list(batch * steps), select: [0], report: [0], sources: { select: '', report: '' } },
    options: parseOptions({ strategy, batch, cache: cached }),
    memoryBytes: 2 ** 40,
  })
  const [phase] = plan.phases
  const values =
    phase.frozenLayers === 'cached' ? network.boundaries.find(({ tensor }) => tensor === phase.boundaryTensor).row : []
  const rowBytes = cached ? 4 * values.reduce((a, b) => a * b, 1) : network.width * network.height * 3
  return stepsPerRun(phase, { batch, rowBytes, checkpointSteps: 200 })
}

for (const name of wanted.split(',')) {
  const { file, batch } = networks[name]
  const model = withRandomWeights(await readModel(join(shared, file)), name)
  const recipe = namedRecipe('caffe', { width: 224, height: 224 })
  const network = buildHeaded(model, { recipe, outputs: 10, random: createRandom(0) })
  for (const strategy of strategies) {
    const boundary =
      strategy === 'head' ? network.features : strategy === 'last' ? defaultBoundary(network) : network.boundaries[0]
    const parameters = trainedParameters(network, boundary)
    const perRun = stepsOfCommand(network, strategy, batch, false)
    const ours = await stepTime(wholeModel(network, boundary), parameters, { batch, perRun, steps })
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
      perRun,
      boundary: boundary.name,
      oursMs: Number(ours.toFixed(1)),
      imagesPerSecond: Number(((1000 * batch) / ours).toFixed(1)),
      residentMiB: peak,
      ...(torch
        ? { torchMs: Number(torch.toFixed(1)), ratio: Number((ours / torch).toFixed(2)), target: targets[strategy] }
        : {}),
    }
    if (strategy !== 'all') {
      const cached = await stepTime(upperModel(network, boundary), parameters, {
        batch,
        perRun: stepsOfCommand(network, strategy, batch, true),
        steps,
      })
      Object.assign(line, { cachedMs: Number(cached.toFixed(2)), cachedFaster: Number((ours / cached).toFixed(1)) })
    }
    console.log(JSON.stringify(line))
  }
}

import { z } from 'zod'
import { throwIfAborted } from '../../base/errors.js'
import { createRandom } from '../../base/random.js'
import type { NamedTensor } from '../../base/safetensors.js'
import type { OnnxWriter } from '../../onnx/classifier-writer.js'
import { buildTrainingGraph } from '../../training/graph/graph.js'
import { prepareNetwork } from '../../training/network.js'
import { TrainingRunner } from '../../training/runner.js'
import type { FitContext, Matrix, Model, ModelState, Params, Trainer, TrainingSet } from '../contract.js'
import { innerSplit } from '../inner-split.js'
import { ordinary, pickRows, uncollectedBytes } from '../linalg/gemm.js'
import { perceptronOnnx } from '../linear/onnx-form.js'
import { number, text } from '../params.js'
import { factsSchema, readConfig, readTensor, tensorOf } from '../state.js'
import { MlpScorer, type MlpWeights, trainingNetwork } from './mlp-network.js'

/** Dropout masks of one run stay below this. */
const maxMaskBytes = 64 << 20
/**
 * And so does its arithmetic, in multiplications: about two seconds, within which nobody hears that the fit should
 * stop. A run costs as much as three steps besides them, so shorter ones take longer: a twelfth at 1e10.
 */
const maxRunProducts = 4e10
/**
 * What `epochs` 0 stands for: about this many optimizer steps, within these bounds. scikit-learn's `max_iter` of 200
 * epochs makes as many of 2,000 rows.
 */
const usualSteps = 2000
const usualEpochs = { least: 20, most: 300 } as const
/** Where no rows are held back: a mean training loss below this has nothing more to teach. */
const learntLoss = 0.005

class MlpModel implements Model {
  readonly scoreKind = 'probability' as const

  readonly #net: MlpWeights

  constructor(
    net: MlpWeights,
    readonly facts: Readonly<Record<string, number | string>>,
  ) {
    this.#net = net
  }

  async scores(
    x: Matrix,
    options: { readonly threads?: number | undefined; readonly signal?: AbortSignal | undefined } = {},
  ) {
    throwIfAborted(options.signal, 'Prediction')
    const scorer = await MlpScorer.open(this.#net.sizes, options.threads ?? 1)
    try {
      return await scorer.scores(ordinary(x), this.#net)
    } finally {
      await scorer.close()
    }
  }

  toOnnx(graph: OnnxWriter, x: string): string {
    return perceptronOnnx(graph, x, this.#net)
  }

  save(): ModelState {
    const { sizes, weights, biases } = this.#net
    const tensors = new Map<string, NamedTensor>()
    weights.forEach((w, i) => {
      tensors.set(`weight${i}`, tensorOf([sizes[i]!, sizes[i + 1]!], w))
      tensors.set(`bias${i}`, tensorOf([sizes[i + 1]!], biases[i]!))
    })
    return { config: { sizes, facts: this.facts }, tensors }
  }

  static load(state: ModelState): Model {
    const schema = z.object({ sizes: z.array(z.int().positive()).min(2).max(64), facts: factsSchema })
    const { sizes, facts } = readConfig(state, schema)
    const layers = sizes.slice(1)
    const weights = layers.map((n, i) => readTensor(state, `weight${i}`, 'float32', [sizes[i]!, n]))
    const biases = layers.map((n, i) => readTensor(state, `bias${i}`, 'float32', [n]))
    return new MlpModel({ sizes, weights, biases }, facts)
  }
}

/**
 * Root mean square length of the rows as Adam sees them, or √cols where that is less. One of its steps moves every
 * weight by the rate, so a unit's activation by up to rate × √cols × the length: longer rows are learnt by heart in a
 * few steps.
 */
const longestRow = 4

/** He's initialisation. */
function initialise(sizes: readonly number[], seed: number): MlpWeights {
  const random = createRandom(seed).fork('weights')
  const weights = sizes.slice(1).map((n, i) => {
    const last = i === sizes.length - 2
    const spread = Math.sqrt((last ? 1 : 2) / sizes[i]!)
    const layer = new Float32Array(sizes[i]! * n)
    for (let k = 0; k < layer.length; k++) layer[k] = random.normal() * spread
    return layer
  })
  return { sizes, weights, biases: sizes.slice(1).map((n) => new Float32Array(n)) }
}

/** Small data make few steps an epoch and need more epochs: see {@link usualSteps}. */
export function epochsFor(asked: number, stepsPerEpoch: number): number {
  if (asked > 0) return asked
  return Math.min(usualEpochs.most, Math.max(usualEpochs.least, Math.ceil(usualSteps / stepsPerEpoch)))
}

const hiddenSizes = (params: Params): number[] =>
  text(params, 'hidden_layer_sizes').split(',').filter(Boolean).map(Number)

/**
 * Steps that one run of the training graph makes: as many of an epoch's as {@link maxMaskBytes} and
 * {@link maxRunProducts} allow.
 */
export function stepsPerRun(sizes: readonly number[], batch: number, stepsPerEpoch: number): number {
  const hidden = sizes.slice(1, -1).reduce((sum, n) => sum + n, 0)
  const weights = sizes.slice(1).reduce((sum, n, i) => sum + n * sizes[i]!, 0)
  // Forwards, and backwards to weights and to activations.
  const products = 3 * batch * weights
  return Math.max(1, Math.min(stepsPerEpoch, maxMaskBytes / Math.max(1, batch * hidden), maxRunProducts / products) | 0)
}

function meanSquare({ data }: Matrix): number {
  let sum = 0
  for (let i = 0; i < data.length; i++) sum += data[i]! * data[i]!
  return sum / data.length
}

/** Mean weighted cross-entropy of the held rows. */
function crossEntropy(scores: Float32Array, set: TrainingSet, held: Int32Array): number {
  const classes = set.classes.length
  let loss = 0
  let total = 0
  held.forEach((row, i) => {
    const weight = set.weights?.[row] ?? 1
    loss -= weight * Math.log(Math.max(scores[i * classes + set.y[row]!]!, 1e-12))
    total += weight
  })
  return loss / total
}

async function fit(set: TrainingSet, context: FitContext): Promise<Model> {
  const { params, seed, threads, signal } = context
  const x = ordinary(set.x)
  // Adam's step does not know the features' scale: give it rows of one length, and undo that in the first layer.
  const scale = Math.min(1, longestRow / Math.sqrt(x.cols)) / Math.sqrt(Math.max(meanSquare(x), 1e-30))
  const sizes = [x.cols, ...hiddenSizes(params), set.classes.length]
  const dropout = number(params, 'dropout')
  const { train, held } = innerSplit(set, number(params, 'validation_fraction'), seed)
  const batch = Math.min(number(params, 'batch_size'), train.length)
  const start = initialise(sizes, seed)
  const layers = start.weights.map((_, i) => i)
  const graph = buildTrainingGraph({
    network: prepareNetwork(trainingNetwork(start, dropout, scale), batch),
    logits: 'logits',
    trainable: layers.flatMap((i) => [`w${i}`, `b${i}`]),
    loss: { kind: 'softmax' },
    optimizer: params.get('solver') === 'sgd' ? { kind: 'sgd' } : { kind: 'adamw' },
    weightDecay: number(params, 'weight_decay'),
    norm: false,
  })
  const runner = await TrainingRunner.open(graph, { threads })
  const scorer = await MlpScorer.open(sizes, threads)
  try {
    runner.setRows({
      data: x.data,
      labels: set.y,
      ...(set.weights ? { weights: Float32Array.from(set.weights) } : {}),
    })
    const heldRows = pickRows(x, held)
    heldRows.data.forEach((v, i, all) => {
      all[i] = v * scale
    })
    const stepsPerEpoch = Math.ceil(train.length / batch)
    const epochs = epochsFor(number(params, 'max_iter'), stepsPerEpoch)
    const perRun = stepsPerRun(sizes, batch, stepsPerEpoch)
    const order = createRandom(seed).fork('order')
    const weightsNow = () => {
      const all = runner.snapshot()
      return {
        weights: layers.map((i) => all.get(`w${i}`)!),
        biases: layers.map((i) => all.get(`b${i}`)!),
      }
    }
    let best = { loss: Number.POSITIVE_INFINITY, epoch: 0, ...weightsNow() }
    let epoch = 0
    let trainLoss = 0
    for (; epoch < epochs; epoch++) {
      const shuffled = order.fork(epoch).shuffled(Array.from(train))
      // A short last batch is filled up from the beginning of the order: every batch has equal weight.
      const index = Array.from({ length: stepsPerEpoch * batch }, (_, i) => shuffled[i % shuffled.length]!)
      trainLoss = 0
      for (let from = 0; from < stepsPerEpoch; from += perRun) {
        const count = Math.min(perRun, stepsPerEpoch - from)
        const lr = Array.from({ length: count }, (_, k) => {
          const done = (epoch + (from + k) / stepsPerEpoch) / epochs
          return number(params, 'learning_rate_init') * 0.5 * (1 + Math.cos(Math.PI * done))
        })
        const result = await runner.run(
          { index: index.slice(from * batch, (from + count) * batch), lr, seed, epoch },
          signal,
        )
        for (const loss of result.loss) trainLoss += loss / stepsPerEpoch
      }
      context.onProgress?.((epoch + 1) / epochs)
      if (held.length === 0) {
        if (trainLoss >= learntLoss) continue
        epoch++
        break
      }
      const loss = crossEntropy(await scorer.scores(heldRows, weightsNow()), set, held)
      if (loss < best.loss) best = { loss, epoch: epoch + 1, ...weightsNow() }
      else if (epoch + 1 - best.epoch >= number(params, 'n_iter_no_change')) {
        epoch++
        break
      }
    }
    const chosen = held.length > 0 ? best : weightsNow()
    const weights = chosen.weights.map((w, i) => Float32Array.from(w, (v) => (i === 0 ? v * scale : v)))
    const facts = {
      epochs: epoch,
      trainLoss,
      ...(held.length > 0 ? { bestEpoch: best.epoch, heldRows: held.length, heldLoss: best.loss } : {}),
    }
    return new MlpModel({ sizes, weights, biases: chosen.biases.map((b) => Float32Array.from(b)) }, facts)
  } finally {
    await runner.close()
    await scorer.close()
  }
}

/** A multi-layer perceptron: a training graph on onnxruntime, one epoch a call. Same seed and threads, same weights. */
export const mlp: Trainer = {
  id: 'mlp',
  title: 'Multi-layer perceptron',
  summary: 'Hidden layers with ReLU and dropout, Adam or SGD, early stopping; gives probabilities.',
  defaultPreprocess: 'standardise',
  params: [
    {
      name: 'hidden_layer_sizes',
      type: 'sizes',
      default: '256',
      grid: ['128', '256', '512', '256,128'],
      help: 'hidden layers, from the input on; empty for none',
    },
    {
      name: 'dropout',
      type: 'number',
      default: 0.5,
      min: 0,
      max: 0.95,
      grid: [0, 0.3, 0.5],
      help: 'share of hidden units left out',
    },
    {
      name: 'solver',
      type: 'choice',
      default: 'adam',
      choices: ['adam', 'sgd'],
      help: 'adam (AdamW) or sgd (Nesterov)',
    },
    {
      name: 'learning_rate_init',
      type: 'number',
      default: 0.0005,
      min: 1e-8,
      max: 10,
      log: true,
      grid: [1e-4, 5e-4, 1e-3],
      help: 'learning rate at the start; falls along a cosine',
    },
    {
      name: 'weight_decay',
      type: 'number',
      default: 0.01,
      min: 0,
      max: 10,
      log: true,
      grid: [0.001, 0.01, 0.1],
      help: 'weight decay of the layers, biases spared',
    },
    { name: 'batch_size', type: 'integer', default: 64, min: 1, max: 65536, help: 'rows a step' },
    {
      name: 'max_iter',
      type: 'integer',
      default: 0,
      min: 0,
      max: 10_000,
      help: 'most passes over the rows; 0 for as many as make 2000 steps, from 20 to 300',
    },
    {
      name: 'n_iter_no_change',
      type: 'integer',
      default: 8,
      min: 1,
      max: 10_000,
      help: 'epochs without a better held-out loss after which it stops',
    },
    {
      name: 'validation_fraction',
      type: 'number',
      default: 0.1,
      min: 0,
      max: 0.5,
      help: 'share of 200 rows or more held back for early stopping',
    },
  ],
  estimatedBytes({ rows, cols, counts }, params) {
    const sizes = [cols, ...hiddenSizes(params), counts.length]
    const weights = sizes.slice(1).reduce((sum, n, i) => sum + n * sizes[i]!, 0)
    const hidden = sizes.slice(1, -1).reduce((sum, n) => sum + n, 0)
    const batch = Math.min(number(params, 'batch_size'), rows)
    const masks = batch * hidden * stepsPerRun(sizes, batch, Math.ceil(rows / batch))
    const held = 4 * rows * cols * number(params, 'validation_fraction')
    // Weights and moments before and after a run, in its loop and its snapshots; the ones begun with, the best so far.
    const moments = text(params, 'solver') === 'sgd' ? 2 : 3
    const carried = 4 * weights * moments
    return (
      6 * carried + 20 * weights + uncollectedBytes(carried) + masks + held + 16 * batch * (hidden + cols) + 16 * rows
    )
  },
  fit,
  load: MlpModel.load,
}

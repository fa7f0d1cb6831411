import { z } from 'zod'
import { Fc7Error, throwIfAborted } from '../base/errors.js'
import { createRandom } from '../base/random.js'
import { GraphBuilder } from '../onnx/build.js'
import { buildTrainingGraph } from '../training/graph.js'
import { prepareNetwork } from '../training/network.js'
import { TrainingRunner } from '../training/runner.js'
import type { FitContext, Matrix, Model, ModelState, NamedTensor, Trainer, TrainingSet } from './contract.js'
import { gemm, ordinary, pickRows } from './gemm.js'
import { number, text } from './params.js'
import { factsSchema, readConfig, readTensor, tensorOf } from './state.js'

const configSchema = z.object({ sizes: z.array(z.int().min(1)).min(2), facts: factsSchema })

interface Layer {
  /** `[inputs, outputs]`. */
  readonly weights: Matrix
  readonly bias: Float32Array
}

/** Fewest rows from which a tenth is held back to decide when to stop. */
const minRowsToHoldOut = 50
const predictBlockRows = 1024

/** Scores before softmax, `[rows, classes]`. */
async function forward(layers: readonly Layer[], x: Matrix, threads: number): Promise<Matrix> {
  let current = x
  for (const [i, { weights, bias }] of layers.entries()) {
    const out = await gemm(current, weights, { threads })
    const last = i === layers.length - 1
    for (let row = 0, at = 0; row < out.rows; row++) {
      for (let j = 0; j < out.cols; j++, at++) {
        const value = out.data[at]! + bias[j]!
        out.data[at] = last || value > 0 ? value : 0
      }
    }
    current = out
  }
  return current
}

function softmaxRows(x: Matrix): Float32Array {
  const out = new Float32Array(x.data.length)
  for (let row = 0; row < x.rows; row++) {
    const from = row * x.cols
    let top = Number.NEGATIVE_INFINITY
    for (let c = 0; c < x.cols; c++) top = Math.max(top, x.data[from + c]!)
    let sum = 0
    for (let c = 0; c < x.cols; c++) sum += Math.exp(x.data[from + c]! - top)
    for (let c = 0; c < x.cols; c++) out[from + c] = Math.exp(x.data[from + c]! - top) / sum
  }
  return out
}

class Perceptron implements Model {
  readonly scoreKind = 'probability'

  constructor(
    private readonly layers: readonly Layer[],
    readonly facts: Readonly<Record<string, number | string>>,
  ) {}

  async scores(
    x: Matrix,
    options: { readonly threads?: number; readonly signal?: AbortSignal } = {},
  ): Promise<Float32Array> {
    const classes = this.layers.at(-1)!.bias.length
    const out = new Float32Array(x.rows * classes)
    for (let from = 0; from < x.rows; from += predictBlockRows) {
      throwIfAborted(options.signal, 'Prediction')
      const to = Math.min(x.rows, from + predictBlockRows)
      const block = { data: x.data.subarray(from * x.cols, to * x.cols), rows: to - from, cols: x.cols }
      out.set(softmaxRows(await forward(this.layers, block, options.threads ?? 1)), from * classes)
    }
    return out
  }

  save(): ModelState {
    const tensors = new Map<string, NamedTensor>()
    for (const [i, { weights, bias }] of this.layers.entries()) {
      tensors.set(`weights${i}`, tensorOf([weights.rows, weights.cols], weights.data))
      tensors.set(`bias${i}`, tensorOf([bias.length], bias))
    }
    return {
      config: {
        sizes: [this.layers[0]!.weights.rows, ...this.layers.map(({ bias }) => bias.length)],
        facts: this.facts,
      },
      tensors,
    }
  }
}

/** The network as a graph, He-initialised (He et al. 2015); dropout before every layer but the first. */
function perceptronGraph(sizes: readonly number[], dropout: number, seed: number): GraphBuilder {
  const random = createRandom(seed).fork('weights')
  const g = new GraphBuilder('mlp')
  let current = g.input('x', 'float32', ['N', sizes[0]!])
  for (let i = 0; i + 1 < sizes.length; i++) {
    const [inputs, outputs] = [sizes[i]!, sizes[i + 1]!]
    const last = i + 2 === sizes.length
    const deviation = Math.sqrt((last ? 1 : 2) / inputs)
    g.initializer(
      `weights${i}`,
      'float32',
      [inputs, outputs],
      Float32Array.from({ length: inputs * outputs }, () => random.normal() * deviation),
    )
    g.initializer(`bias${i}`, 'float32', [outputs], new Float32Array(outputs))
    if (i > 0 && dropout > 0) current = g.add('Dropout', [current, g.floats(dropout)])
    current = g.add('Gemm', [current, `weights${i}`, `bias${i}`], {}, last ? { outputs: ['logits'] } : {})
    if (!last) current = g.add('Relu', [current])
  }
  g.output('logits', 'float32', ['N', sizes.at(-1)!])
  return g
}

function layersOf(values: ReadonlyMap<string, Float32Array>, sizes: readonly number[]): Layer[] {
  return sizes.slice(1).map((outputs, i) => ({
    weights: { data: Float32Array.from(values.get(`weights${i}`)!), rows: sizes[i]!, cols: outputs },
    bias: Float32Array.from(values.get(`bias${i}`)!),
  }))
}

/** A seeded tenth of each class with ten rows or more, whole groups together; empty for small sets. */
function heldOut(set: TrainingSet, seed: number): Set<number> {
  const held = new Set<number>()
  if (set.x.rows < minRowsToHoldOut) return held
  const order = createRandom(seed).fork('held out').shuffled(Array.from(set.y.keys()))
  const sizes = new Int32Array(set.classes.length)
  for (const label of set.y) sizes[label]!++
  const taken = new Int32Array(set.classes.length)
  const groups = new Map<string, number[]>()
  set.groups?.forEach((group, i) => {
    if (group !== null) groups.set(group, [...(groups.get(group) ?? []), i])
  })
  for (const row of order) {
    const label = set.y[row]!
    if (held.has(row) || taken[label]! >= Math.floor(sizes[label]! / 10)) continue
    const group = set.groups?.[row]
    for (const member of group === null || group === undefined ? [row] : groups.get(group)!) {
      held.add(member)
      taken[set.y[member]!]!++
    }
  }
  // A class must keep a row to learn from.
  const left = new Int32Array(sizes)
  for (const row of held) left[set.y[row]!]!--
  return left.some((count) => count < 1) ? new Set() : held
}

/** Weighted mean of −ln of the true class's probability. */
function lossOf(probabilities: Float32Array, y: ArrayLike<number>, classes: number): number {
  let sum = 0
  for (let i = 0; i < y.length; i++) sum -= Math.log(Math.max(1e-12, probabilities[i * classes + y[i]!]!))
  return sum / y.length
}

async function fit(set: TrainingSet, { params, seed, threads, signal, onProgress }: FitContext): Promise<Model> {
  const classes = set.classes.length
  const hidden = text(params, 'hidden')
    .split(',')
    .filter((part) => part.trim() !== '')
    .map(Number)
  const sizes = [set.x.cols, ...hidden, classes]
  const held = heldOut(set, seed)
  const rows = Array.from(set.y.keys()).filter((i) => !held.has(i))
  const x = held.size > 0 ? pickRows(ordinary(set.x), rows) : ordinary(set.x)
  const y = Int32Array.from(rows, (i) => set.y[i]!)
  const meanWeight = set.weights ? rows.reduce((sum, i) => sum + set.weights![i]!, 0) / rows.length : 1
  const weights = set.weights && Float32Array.from(rows, (i) => set.weights![i]! / meanWeight)
  const checked = Array.from(held).sort((a, b) => a - b)
  const checkedX = pickRows(ordinary(set.x), checked)
  const checkedY = Int32Array.from(checked, (i) => set.y[i]!)
  const batch = Math.min(number(params, 'batch'), rows.length)
  const kind = text(params, 'optimiser') as 'adam' | 'adamw' | 'sgd'
  const model = perceptronGraph(sizes, number(params, 'dropout'), seed).model()
  const trainable = sizes.slice(1).flatMap((_, i) => [`weights${i}`, `bias${i}`])
  const graph = buildTrainingGraph({
    network: prepareNetwork(model, batch),
    logits: 'logits',
    trainable,
    loss: { kind: 'softmax' },
    optimiser: { kind },
    weightDecay: number(params, 'decay'),
  })
  const runner = await TrainingRunner.open(graph, { threads })
  try {
    runner.setRows({ data: x.data, labels: y, ...(weights ? { weights } : {}) })
    const epochs = number(params, 'epochs')
    const steps = Math.ceil(rows.length / batch)
    const random = createRandom(seed).fork('order')
    let best = { loss: Number.POSITIVE_INFINITY, epoch: 0, values: runner.snapshot() }
    let loss = 0
    let epoch = 0
    for (; epoch < epochs && epoch - best.epoch < number(params, 'patience'); epoch++) {
      throwIfAborted(signal, 'Training')
      const order = random.shuffled(Array.from(rows.keys()))
      // The last batch is filled up from the front of the order.
      const index = Array.from({ length: steps * batch }, (_, i) => order[i % order.length]!)
      const results = await runner.run(
        { index, rates: new Float32Array(steps).fill(number(params, 'rate')), seed, epoch },
        signal,
      )
      loss = results.loss.reduce((sum, value) => sum + value, 0) / steps
      if (!Number.isFinite(loss)) {
        throw new Fc7Error('TRAINING_DIVERGED', `The MLP's loss left the numbers in epoch ${epoch + 1}.`, {
          hint: 'Use a smaller rate (--set rate=0.0001) or standardise the features.',
        })
      }
      const judged =
        held.size > 0
          ? lossOf(softmaxRows(await forward(layersOf(runner.snapshot(), sizes), checkedX, threads)), checkedY, classes)
          : loss
      if (judged < best.loss - 1e-4) best = { loss: judged, epoch: epoch + 1, values: runner.snapshot() }
      onProgress?.((epoch + 1) / epochs)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const facts = { epochs: epoch, 'best epoch': best.epoch, loss: best.loss, 'rows held back': held.size }
    return new Perceptron(layersOf(best.values, sizes), facts)
  } finally {
    await runner.close()
  }
}

export const mlp: Trainer = {
  id: 'mlp',
  title: 'Multi-layer perceptron',
  summary: 'Hidden layers of ReLU trained by minibatches as one ONNX graph, stopped early on a held-out tenth.',
  defaultPreprocess: 'standardise',
  params: [
    {
      name: 'hidden',
      type: 'sizes',
      default: '256',
      grid: ['128', '512', '256,128'],
      help: 'sizes of the hidden layers',
    },
    {
      name: 'dropout',
      type: 'number',
      default: 0.3,
      min: 0,
      max: 0.95,
      grid: [0, 0.3, 0.5],
      help: 'share of hidden units left out at each step',
    },
    { name: 'optimiser', type: 'choice', default: 'adam', choices: ['adam', 'adamw', 'sgd'], help: 'how weights move' },
    {
      name: 'rate',
      type: 'number',
      default: 0.001,
      min: 1e-7,
      max: 10,
      log: true,
      grid: [0.0003, 0.001, 0.003],
      help: 'learning rate',
    },
    {
      name: 'decay',
      type: 'number',
      default: 0.0001,
      min: 0,
      max: 10,
      log: true,
      grid: [0.0001, 0.01],
      help: 'weight decay',
    },
    { name: 'epochs', type: 'integer', default: 60, min: 1, max: 100_000, help: 'passes over the rows at most' },
    {
      name: 'patience',
      type: 'integer',
      default: 8,
      min: 1,
      max: 100_000,
      help: 'epochs without progress before it stops',
    },
    { name: 'batch', type: 'integer', default: 64, min: 1, max: 65_536, help: 'rows a step' },
  ],
  fit,
  load(state) {
    const { sizes, facts } = readConfig(state, configSchema)
    const layers = sizes.slice(1).map((outputs, i) => ({
      weights: {
        data: readTensor(state, `weights${i}`, 'float32', [sizes[i]!, outputs]),
        rows: sizes[i]!,
        cols: outputs,
      },
      bias: readTensor(state, `bias${i}`, 'float32', [outputs]),
    }))
    return new Perceptron(layers, facts)
  },
}

import { Fc7Error } from '../../base/errors.js'
import { GraphBuilder, node } from '../../onnx/build.js'
import type { ModelProto, NodeProto } from '../../onnx/generated/onnx_pb.js'
import { floatsOf } from '../../onnx/values.js'
import { reshape } from '../gradients/arithmetic.js'
import type { Network } from '../network.js'
import type { OptimizerOptions } from '../optimizers/contract.js'
import { createOptimizer } from '../optimizers/registry.js'
import { type CarriedTensor, LoopTensors } from './carried.js'
import { chunkCount, chunkFrom, stepInChunks } from './chunks.js'
import { Differentiation, type MaskSpec } from './differentiate.js'
import { foldNorms } from './fold-norms.js'
import { gradientNorms, type NormParts } from './gradient-norms.js'
import { hoistFrozen, nothingHoisted } from './hoist.js'
import { buildLoss, type Loss } from './losses.js'
import { mixing } from './mixing.js'

export interface TrainingGraphOptions {
  readonly network: Network
  /** Tensor of the network with the scores before softmax or sigmoid, `[B, C]`. */
  readonly logits: string
  /** Initializers that are trained; all others stay as they are. */
  readonly trainable: readonly string[]
  readonly loss: Loss
  readonly optimizer: OptimizerOptions
  /** Default 0. */
  readonly weightDecay?: number | undefined
  /**
   * Whether weight decay takes hold of a parameter. Default: of those with two or more axes, so biases and norms are
   * spared.
   */
  readonly decays?: ((name: string, dims: readonly number[]) => boolean) | undefined
  /** Factor of a parameter's learning rate (smaller near the input). Default 1. */
  readonly rateFactor?: ((name: string) => number) | undefined
  /** Largest norm of the whole gradient, as `torch.nn.utils.clip_grad_norm_`. Default: no limit. */
  readonly clipNorm?: number | undefined
  /** Whether the gradient's norm is reported at every step, which costs a pass over all gradients. Default true. */
  readonly norm?: boolean | undefined
  /** Which BatchNormalization nodes use and update their batch's statistics. Default: none. */
  readonly batchStatistics?: ((node: NodeProto) => boolean) | undefined
  /** Which Dropout nodes drop although no gradient passes them. Default: none. */
  readonly drops?: ((node: NodeProto) => boolean) | undefined
  /**
   * Mixup (Zhang et al. 2018) with this α: each row is mixed with a partner of its batch by shares from Beta(α, α), and
   * so are their labels. Mixed is what enters the loop: the network's input, or what `frozenOutside` computed before it
   * (Verma et al. 2019). Default 0: none.
   */
  readonly mixup?: number | undefined
  /**
   * Steps whose gradients are averaged before the parameters move, for batches that memory does not hold. Default 1.
   */
  readonly accumulate?: number | undefined
  /**
   * Computes what no gradient passes once a run, for all rows at once, before the loop: its weights are constants
   * there, which the runtime lays out for speed. For runs that use every row, with memory for them. Default false: in
   * the loop, a batch at a time.
   */
  readonly frozenOutside?: boolean | undefined
  /** Parameters with as many values are moved a piece at a time ({@link chunkFrom}, the default). */
  readonly chunkFrom?: number | undefined
  /** Default: none. */
  readonly parts?: NormParts | undefined
}

/**
 * The training graph and how to run it. Inputs: `data` `[R, …]` any number of rows; `labels` int64 `[R]`; `weights`
 * float32 `[R]`; `index` int64 `[K, B]` which rows make the batch of each of K steps; `lr` float32 `[K]`; `step`
 * int64 scalar, steps done before; one uint8 `[K, …]` per mask; with mixup `partner` int64 `[K, B]`, row that each row
 * is mixed with, and `share` float32 `[K, B]`, how much of the row itself stays; every carried tensor. Outputs: `loss`,
 * `correct`, `norm` float32 `[K]`, `norms` float32 `[K, parts]` where parts are asked for, and every carried tensor.
 */
export interface TrainingGraph {
  readonly model: ModelProto
  readonly batch: number
  readonly rowShape: readonly number[]
  readonly inputType: 'float32' | 'uint8'
  readonly masks: readonly MaskSpec[]
  /** The α that rows are mixed with; 0 for none. */
  readonly mixup: number
  /** Names of the columns of `norms`. */
  readonly parts: readonly string[]
  readonly carried: readonly CarriedTensor[]
  /** Values before the first step, by name of the carried tensor. */
  readonly initial: ReadonlyMap<string, Float32Array>
}

/** Joins forward pass, loss, gradients and optimizer into one ONNX graph whose Loop makes K steps per run. */
export function buildTrainingGraph(options: TrainingGraphOptions): TrainingGraph {
  const network = foldNorms(
    options.network,
    new Set(options.trainable),
    (node) => options.batchStatistics?.(node) ?? false,
  )
  const logitsShape = network.shapes.get(options.logits)
  const rowShape = network.shapes.get(network.input)!.slice(1)
  const { batch } = network
  if (logitsShape?.length !== 2 || logitsShape[0] !== batch) {
    throw new Fc7Error('TRAIN_LOGITS', `${options.logits} is not one row of class scores for each image.`, {
      hint: 'The tensor that the loss reads must have the shape [batch, classes].',
    })
  }
  const dimsOf = (name: string): number[] => {
    const tensor = network.initializers.get(name)
    if (tensor) return tensor.dims.map(Number)
    throw new Fc7Error('TRAIN_PARAMETER', `The network has no weights named ${name}.`)
  }
  const optimizer = createOptimizer(options.optimizer)
  const body = new GraphBuilder('step', 'step.')
  const outer = new GraphBuilder('fc7 training', 'loop.')
  const masks: MaskSpec[] = []

  outer.input('data', network.inputType, ['R', ...rowShape])
  outer.input('labels', 'int64', ['R'])
  outer.input('weights', 'float32', ['R'])
  outer.input('index', 'int64', ['K', batch])
  outer.input('lr', 'float32', ['K'])
  outer.input('step', 'int64', [])

  // The body of the loop: pick the batch, forward, loss, backward, optimizer.
  const iteration = body.input('step.iteration', 'int64', [])
  body.input('step.go', 'bool', [])
  body.add('Identity', ['step.go'], {}, { outputs: ['step.go.on'] })
  body.output('step.go.on', 'bool', [])
  const rows = body.add('Gather', ['index', iteration], { axis: 0 })
  const labels = body.add('Gather', ['labels', rows], { axis: 0 })
  const weights = body.add('Gather', ['weights', rows], { axis: 0 })
  const rate = body.add('Gather', ['lr', iteration], { axis: 0 })
  const mixup = options.mixup ?? 0
  if (mixup > 0) {
    outer.input('partner', 'int64', ['K', batch])
    outer.input('share', 'float32', ['K', batch])
  }
  const mix = mixup > 0 ? mixing(body, network, iteration) : undefined
  const accumulate = options.accumulate ?? 1
  const done = body.add('Add', ['step', iteration])
  // Parameters move at the last of every `accumulate` steps; the optimizer counts only those.
  const moves =
    accumulate > 1
      ? body.add('Equal', [body.add('Mod', [done, body.ints(accumulate)]), body.ints(accumulate - 1)])
      : undefined
  const stepNumber = body.add('Add', [moves ? body.add('Div', [done, body.ints(accumulate)]) : done, body.ints(1)])

  const differentiation = new Differentiation(body, network, {
    wanted: new Set(options.trainable),
    batchStatistics: options.batchStatistics,
    drops: options.drops,
    mask: ({ shape, rate: dropped }, node) => {
      const name = `mask:${node.output[0]}`
      masks.push({ name, shape, rate: dropped })
      outer.input(name, 'uint8', ['K', ...shape])
      const bits = body.add('Cast', [body.add('Gather', [name, iteration], { axis: 0 })], { to: 1 })
      return body.add('Mul', [bits, body.floats(1 / (1 - dropped))])
    },
  })
  const hoisted = options.frozenOutside
    ? hoistFrozen(outer, network, (node) => differentiation.stays(node))
    : nothingHoisted(network)
  for (const [name, source] of hoisted.crossing) {
    if (mix) mix.rows(name, source, rows)
    else body.add('Gather', [source, rows], { axis: 0 }, { outputs: [name] })
  }
  differentiation.forward(hoisted.nodes)
  const loss = buildLoss(body, options.loss, {
    logits: options.logits,
    labels,
    weights,
    batch,
    classes: logitsShape[1]!,
    ...(mix ? { mix: mix.labels } : {}),
  })
  const gradients = differentiation.backward(new Map([[options.logits, loss.gradient]]))
  for (const name of options.trainable) {
    if (!gradients.has(name)) {
      throw new Fc7Error('TRAIN_UNUSED', `The weights ${name} do not take part in ${options.logits}.`, {
        hint: 'Train only weights between the input and the scores.',
      })
    }
  }
  const loop = new LoopTensors(body, outer)
  const start = (name: string): Float32Array => Float32Array.from(floatsOf(network.initializers.get(name)!))
  const sums = new Map<string, string>()
  const number = (value: number, dims: readonly number[]) =>
    body.floats(
      value,
      dims.map(() => 1),
    )
  // See OptimizerStep.number.
  const wide = (scalar: string, dims: readonly number[]) =>
    reshape(
      body,
      scalar,
      dims.map(() => 1),
    )
  if (moves) {
    for (const name of options.trainable) {
      const dims = dimsOf(name)
      const count = dims.reduce((product, n) => product * n, 1)
      const before = loop.carry(`sum:${name}`, 'gradient', dims, new Float32Array(count))
      const sum = body.add('Add', [before, body.add('Mul', [gradients.get(name)!, number(1 / accumulate, dims)])])
      gradients.set(name, sum)
      sums.set(name, body.add('Where', [wide(moves, dims), number(0, dims), sum]))
      loop.finish(sums.get(name)!, dims)
    }
  }
  const partNames = options.parts?.names ?? []
  const wantsNorm = options.norm !== false || options.clipNorm !== undefined || partNames.length > 0
  const { norm, norms } = wantsNorm ? gradientNorms(body, gradients, options.parts) : {}
  let scale: string | undefined
  if (norm && options.clipNorm !== undefined) {
    const ratio = body.add('Div', [body.floats(options.clipNorm), body.add('Add', [norm, body.floats(1e-6)])])
    scale = body.add('Min', [ratio, body.floats(1)])
  }

  const shared = optimizer.shared?.(body, stepNumber) ?? []
  const decays = options.decays ?? ((_name, dims) => dims.length > 1)
  for (const name of options.trainable) {
    const dims = dimsOf(name)
    const count = dims.reduce((product, n) => product * n, 1)
    const rows = moves ? undefined : chunkCount(count, options.chunkFrom ?? chunkFrom)
    const own = loop.carry(name, 'parameter', dims, start(name), rows)
    const state = optimizer.slots.map((slot) =>
      loop.carry(`${slot}:${name}`, 'state', dims, new Float32Array(count), rows),
    )
    const factor = options.rateFactor?.(name) ?? 1
    const gradient = gradients.get(name)!
    const ownRate = factor === 1 ? rate : body.add('Mul', [rate, body.floats(factor)])
    const decay = decays(name, dims) ? (options.weightDecay ?? 0) : 0
    if (rows !== undefined) {
      body.nodes.unshift(node('Reshape', [own, body.ints(dims)], [name]))
      const shape = [rows, count / rows] as const
      const at = { parameter: own, gradient, state, shape, rate: ownRate, scale, step: stepNumber, decay }
      const moved = stepInChunks(body, optimizer, at, shared)
      for (const tensor of [moved.parameter, ...moved.state]) loop.finish(tensor, shape)
      continue
    }
    const moved = optimizer.step(
      body,
      {
        parameter: name,
        gradient: scale ? body.add('Mul', [gradient, wide(scale, dims)]) : gradient,
        state,
        rate: wide(ownRate, dims),
        step: stepNumber,
        decay,
        number: (value) => number(value, dims),
      },
      shared,
    )
    const held = (now: string, before: string) => (moves ? body.add('Where', [wide(moves, dims), now, before]) : now)
    loop.finish(held(moved.parameter, name), dims)
    moved.state.forEach((tensor, i) => {
      loop.finish(held(tensor, state[i]!), dims)
    })
  }
  for (const [name, tensor] of differentiation.updates) {
    loop.carry(name, 'statistic', dimsOf(name), start(name))
    loop.finish(tensor, dimsOf(name))
  }
  for (const tensor of [loss.loss, loss.correct, ...(norm ? [norm] : [])]) loop.finish(tensor, [])
  if (norms) loop.finish(norms, [partNames.length])
  const moving = new Set(loop.carried.map(({ name }) => name))
  const used = new Set(body.nodes.flatMap(({ input }) => input))
  for (const [name, tensor] of network.initializers) {
    if (!moving.has(name) && used.has(name) && !hoisted.initializers.has(name)) body.initializers.push(tensor)
  }

  const count = outer.add('Gather', [outer.add('Shape', ['lr']), outer.ints(0)], { axis: 0 })
  const scanned = ['loss', 'correct', ...(norm ? ['norm'] : []), ...(norms ? ['norms'] : [])]
  loop.close(count, scanned)
  for (const name of scanned) outer.output(name, 'float32', name === 'norms' ? ['K', partNames.length] : ['K'])
  return {
    model: outer.model(network.opset, { 'com.microsoft': 1 }),
    batch,
    rowShape,
    inputType: network.inputType,
    masks,
    mixup,
    parts: partNames,
    carried: loop.carried,
    initial: loop.initial,
  }
}

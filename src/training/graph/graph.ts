import { Fc7Error } from '../../base/errors.js'
import { GraphBuilder } from '../../onnx/build.js'
import type { ModelProto, TensorProto } from '../../onnx/generated/onnx_pb.js'
import { floatsOf } from '../../onnx/values.js'
import type { Network } from '../network.js'
import type { MaskSpec } from './differentiate.js'
import { foldNorms } from './fold-norms.js'
import { clipFactor, gradientNorms } from './gradient-norms.js'
import { LoopState, type LoopVariable } from './loop-state.js'
import type { TrainingGraphOptions } from './options.js'
import { type Parameter, ParameterUpdates } from './parameter-updates.js'
import { writePasses } from './passes.js'
import { stepInputs } from './step-inputs.js'

export type { TrainingGraphOptions } from './options.js'

/**
 * The training graph and how to run it. Inputs: `data` `[R, …]` any number of rows; `labels` int64 `[R]`; `weights`
 * float32 `[R]`; `index` int64 `[K, B]` which rows make the batch of each of K steps; `lr` float32 `[K]`; `step`
 * int64 scalar, steps done before; one uint8 `[K, …]` per mask; with mixup `partner` int64 `[K, B]`, row that each row
 * is mixed with, and `share` float32 `[K, B]`, how much of the row itself stays; every variable of the loop. Outputs:
 * `loss`, `correct`, `norm` float32 `[K]`, `norms` float32 `[K, parts]` where parts are asked for, and every
 * variable of the loop.
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
  /** What goes from step to step; a run takes it as inputs and gives it as outputs. */
  readonly loopState: readonly LoopVariable[]
  /** Values before the first step, by name of the variable. */
  readonly initial: ReadonlyMap<string, Float32Array>
}

/** A trained weight or a statistic as the network has it. @throws Fc7Error TRAIN_PARAMETER */
function parameterOf(network: Network, name: string): Parameter {
  const tensor = network.initializers.get(name)
  if (tensor) return { name, dims: tensor.dims.map(Number), values: Float32Array.from(floatsOf(tensor)) }
  throw new Fc7Error('TRAIN_PARAMETER', `The network has no weights named ${name}.`)
}

/** The network's constants that the body reads, and that neither move nor lie outside it. */
function constants(network: Network, body: GraphBuilder, elsewhere: ReadonlySet<string>): TensorProto[] {
  const used = new Set(body.nodes.flatMap(({ input }) => input))
  return [...network.initializers].flatMap(([name, tensor]) => (used.has(name) && !elsewhere.has(name) ? [tensor] : []))
}

/**
 * Joins forward pass, loss, gradients and optimizer into one ONNX graph whose Loop makes K steps per run.
 *
 * @throws Fc7Error TRAIN_LOGITS, TRAIN_PARAMETER, TRAIN_UNUSED, TRAIN_SHAPE, GRADIENT_MISSING, GRADIENT_UNSUPPORTED
 */
export function buildTrainingGraph(options: TrainingGraphOptions): TrainingGraph {
  const { trainable, mixup = 0, gradAccumSteps = 1, clipNorm, parts } = options
  const network = foldNorms(options.network, new Set(trainable), (node) => options.batchStatistics?.(node) ?? false)
  const body = new GraphBuilder('step', 'step.')
  const outer = new GraphBuilder('fc7 training', 'loop.')
  const step = stepInputs({ body, outer }, network, { mixup, gradAccumSteps })
  const passes = writePasses({ body, outer }, network, step, options)

  const loop = new LoopState(body, outer)
  const updates = new ParameterUpdates(body, loop, step, options)
  const parameters = trainable.map((name) => parameterOf(network, name))
  const gradients = updates.averaged(parameters, passes.gradients)
  const partNames = parts?.names ?? []
  const wantsNorm = options.norm !== false || clipNorm !== undefined || partNames.length > 0
  const { norm, norms } = wantsNorm ? gradientNorms(body, gradients, parts) : {}
  updates.move(parameters, gradients, norm && clipNorm !== undefined ? clipFactor(body, norm, clipNorm) : undefined)
  for (const [name, tensor] of passes.statistics) {
    const { dims, values } = parameterOf(network, name)
    loop.add({ name, kind: 'statistic', dims, values })
    loop.finish(tensor, dims)
  }

  const results = [
    { name: 'loss', tensor: passes.loss.loss, dims: [] },
    { name: 'correct', tensor: passes.loss.correct, dims: [] },
    ...(norm ? [{ name: 'norm', tensor: norm, dims: [] }] : []),
    ...(norms ? [{ name: 'norms', tensor: norms, dims: [partNames.length] }] : []),
  ]
  for (const { tensor, dims } of results) loop.finish(tensor, dims)
  const moving = loop.variables.map(({ name }) => name)
  body.initializers.push(...constants(network, body, new Set([...moving, ...passes.outside])))
  const count = outer.add('Gather', [outer.add('Shape', ['lr']), outer.ints(0)], { axis: 0 })
  loop.close(
    count,
    results.map(({ name }) => name),
  )
  for (const { name, dims } of results) outer.output(name, 'float32', ['K', ...dims])
  return {
    model: outer.model(network.opset, { 'com.microsoft': 1 }),
    batch: network.batch,
    rowShape: network.shapes.get(network.input)!.slice(1),
    inputType: network.inputType,
    masks: passes.masks,
    mixup,
    parts: partNames,
    loopState: loop.variables,
    initial: loop.initial,
  }
}

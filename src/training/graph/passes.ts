import { Fc7Error } from '../../base/errors.js'
import type { GraphBuilder } from '../../onnx/build.js'
import type { Network } from '../network.js'
import { type DifferentiateOptions, Differentiation, type MaskSpec } from './differentiate.js'
import { hoistFrozen, nothingHoisted } from './hoist.js'
import { buildLoss, type LossOutputs } from './losses.js'
import type { TrainingGraphOptions } from './options.js'
import type { StepInputs } from './step-inputs.js'

type Builders = { readonly body: GraphBuilder; readonly outer: GraphBuilder }

/** What the forward and the backward pass of a step give, as names of tensors in the body. */
export interface Passes {
  readonly loss: LossOutputs
  /** Gradient of each trained initializer. */
  readonly gradients: ReadonlyMap<string, string>
  /** New values of running statistics, by initializer. */
  readonly statistics: ReadonlyMap<string, string>
  /** One for each dropout of the loop. */
  readonly masks: readonly MaskSpec[]
  /** Initializers that lie outside the loop, beside the frozen layers that read them. */
  readonly outside: ReadonlySet<string>
}

/** Number of classes that the scores tell apart. @throws Fc7Error TRAIN_LOGITS */
function classCount(network: Network, logits: string): number {
  const shape = network.shapes.get(logits)
  if (shape?.length === 2 && shape[0] === network.batch) return shape[1]!
  throw new Fc7Error('TRAIN_LOGITS', `${logits} is not one row of class scores for each image.`, {
    hint: 'The tensor that the loss reads must have the shape [batch, classes].',
  })
}

/** The mask of a dropout: an input of the graph in bits, scaled so that the mean of what passes stays. */
function maskInput({ body, outer }: Builders, { name, shape, rate }: MaskSpec, iteration: string): string {
  outer.input(name, 'uint8', ['K', ...shape])
  const bits = body.add('Cast', [body.add('Gather', [name, iteration], { axis: 0 })], { to: 1 })
  return body.add('Mul', [bits, body.floats(1 / (1 - rate))])
}

/**
 * Writes forward pass, loss and backward pass of one step; with `frozenOutside` the frozen layers go before the loop.
 *
 * @throws Fc7Error TRAIN_LOGITS, TRAIN_UNUSED, TRAIN_SHAPE, GRADIENT_MISSING, GRADIENT_UNSUPPORTED
 */
export function writePasses(
  builders: Builders,
  network: Network,
  step: StepInputs,
  options: TrainingGraphOptions,
): Passes {
  const { body, outer } = builders
  const classes = classCount(network, options.logits)
  const masks: MaskSpec[] = []
  const mask: DifferentiateOptions['mask'] = ({ shape, rate }, node) => {
    const spec = { name: `mask:${node.output[0]}`, shape, rate }
    masks.push(spec)
    return maskInput(builders, spec, step.iteration)
  }
  const differentiation = new Differentiation(body, network, {
    wanted: new Set(options.trainable),
    batchStatistics: options.batchStatistics,
    drops: options.drops,
    mask,
  })
  const hoisted = options.frozenOutside
    ? hoistFrozen(outer, network, (node) => differentiation.stays(node))
    : nothingHoisted(network)
  for (const [name, source] of hoisted.crossing) {
    if (step.mix) step.mix.rows(name, source, step.rows)
    else body.add('Gather', [source, step.rows], { axis: 0 }, { outputs: [name] })
  }
  differentiation.forward(hoisted.nodes)
  const { logits, loss: kind } = options
  const { labels, weights, mix } = step
  const loss = buildLoss(body, kind, { logits, labels, weights, batch: network.batch, classes, mix: mix?.labels })
  const gradients = differentiation.backward(new Map([[logits, loss.gradient]]))
  const unused = options.trainable.find((name) => !gradients.has(name))
  if (unused !== undefined) {
    throw new Fc7Error('TRAIN_UNUSED', `The weights ${unused} do not take part in ${logits}.`, {
      hint: 'Train only weights between the input and the scores.',
    })
  }
  return { loss, gradients, statistics: differentiation.updates, masks, outside: hoisted.initializers }
}

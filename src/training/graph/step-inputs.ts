import type { GraphBuilder } from '../../onnx/build.js'
import { reshape } from '../gradients/arithmetic.js'
import type { Network } from '../network.js'

/**
 * Mixup within a step of the training graph: its rows, and their labels, with their partners by the shares of its
 * inputs.
 */
function mixing(g: GraphBuilder, network: Network, iteration: string) {
  const partners = g.add('Gather', ['partner', iteration], { axis: 0 })
  const share = g.add('Gather', ['share', iteration], { axis: 0 })
  return {
    labels: { labels: g.add('Gather', ['labels', partners], { axis: 0 }), share },
    /** Writes `name`: the step's rows of `source`, mixed. Whole numbers (pixels) stay whole. */
    rows(name: string, source: string, rows: string): void {
      const whole = name === network.input && network.inputType === 'uint8'
      const float = (tensor: string) => (whole ? g.add('Cast', [tensor], { to: 1 }) : tensor)
      const own = float(g.add('Gather', [source, rows], { axis: 0 }))
      const other = float(g.add('Gather', [source, partners], { axis: 0 }))
      const rank = network.shapes.get(name)!.length
      const wide = reshape(g, share, [network.batch, ...Array.from({ length: rank - 1 }, () => 1)])
      const change = g.add('Mul', [g.add('Sub', [own, other]), wide])
      if (!whole) g.add('Add', [other, change], {}, { outputs: [name] })
      else g.add('Cast', [g.add('Round', [g.add('Add', [other, change])])], { to: 2 }, { outputs: [name] })
    },
  }
}

/** What the body of the loop reads of the graph's inputs at one step, as names of its tensors. */
export interface StepInputs {
  /** int64 scalar: number of the step within this run, from 0. */
  readonly iteration: string
  /** int64 `[B]`: rows of the batch, their labels, and float32 `[B]` their weights. */
  readonly rows: string
  readonly labels: string
  readonly weights: string
  /** float32 scalar. */
  readonly lr: string
  readonly mix: ReturnType<typeof mixing> | undefined
  /** bool scalar: whether parameters move at this step; undefined where they move at every step. */
  readonly moves: string | undefined
  /** int64 scalar: number of this step of the optimizer, from 1. */
  readonly number: string
}

/** Declares the inputs of the graph and of the loop's body, and picks the batch of a step. */
export function stepInputs(
  { body, outer }: { readonly body: GraphBuilder; readonly outer: GraphBuilder },
  network: Network,
  { mixup, gradAccumSteps }: { readonly mixup: number; readonly gradAccumSteps: number },
): StepInputs {
  const { batch } = network
  outer.input('data', network.inputType, ['R', ...network.shapes.get(network.input)!.slice(1)])
  outer.input('labels', 'int64', ['R'])
  outer.input('weights', 'float32', ['R'])
  outer.input('index', 'int64', ['K', batch])
  outer.input('lr', 'float32', ['K'])
  outer.input('step', 'int64', [])

  const iteration = body.input('step.iteration', 'int64', [])
  body.input('step.go', 'bool', [])
  body.add('Identity', ['step.go'], {}, { outputs: ['step.go.on'] })
  body.output('step.go.on', 'bool', [])
  const rows = body.add('Gather', ['index', iteration], { axis: 0 })
  const labels = body.add('Gather', ['labels', rows], { axis: 0 })
  const weights = body.add('Gather', ['weights', rows], { axis: 0 })
  const lr = body.add('Gather', ['lr', iteration], { axis: 0 })
  if (mixup > 0) {
    outer.input('partner', 'int64', ['K', batch])
    outer.input('share', 'float32', ['K', batch])
  }
  const mix = mixup > 0 ? mixing(body, network, iteration) : undefined
  const done = body.add('Add', ['step', iteration])
  const accumulates = gradAccumSteps > 1
  // Parameters move at the last of every `gradAccumSteps` steps; the optimizer counts only those.
  const moves = accumulates
    ? body.add('Equal', [body.add('Mod', [done, body.ints(gradAccumSteps)]), body.ints(gradAccumSteps - 1)])
    : undefined
  const before = accumulates ? body.add('Div', [done, body.ints(gradAccumSteps)]) : done
  return { iteration, rows, labels, weights, lr, mix, moves, number: body.add('Add', [before, body.ints(1)]) }
}

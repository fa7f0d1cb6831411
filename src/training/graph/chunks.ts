import { GraphBuilder } from '../../onnx/build.js'
import { reshape } from '../gradients/arithmetic.js'
import type { Optimizer, OptimizerResult } from '../optimizers/contract.js'

/**
 * Parameters with as many values or more are moved a piece at a time. An optimizer's step is seven passes or more over
 * parameter, gradient and state; a piece of all of them stays in a core's cache from the first pass to the last.
 */
export const chunkFrom = 1 << 22

/**
 * Into how many equal pieces a parameter is cut, of a sixty-fourth to a tenth of `from` values; undefined for a small
 * or awkward one.
 */
export function chunkCount(count: number, from: number): number | undefined {
  if (count < from) return undefined
  const [least, most] = [from / 64, Math.floor((from * 3) / 32)]
  for (let rows = Math.ceil(count / most); rows * least <= count; rows++) if (count % rows === 0) return rows
  return undefined
}

/**
 * One step of an optimizer over the rows of `[rows, values]` tensors, in an ONNX Scan. Same numbers as over the whole.
 *
 * @param at `lr` and `scale` (the factor of the gradient, if it is limited) are scalars of `g`, which the pieces read
 */
export function stepInChunks(
  g: GraphBuilder,
  optimizer: Optimizer,
  at: {
    readonly parameter: string
    readonly gradient: string
    readonly state: readonly string[]
    readonly shape: readonly [number, number]
    readonly lr: string
    readonly scale: string | undefined
    readonly step: string
    readonly decay: number
  },
  shared: readonly string[],
): OptimizerResult {
  const prefix = g.fresh('chunk')
  const piece = new GraphBuilder(prefix, `${prefix}.`)
  const dims = [at.shape[1]]
  const input = (name: string) => piece.input(`${prefix}.${name}`, 'float32', dims)
  const [parameter, gradient] = [input('parameter'), input('gradient')]
  const state = at.state.map((_, i) => input(`state${i}`))
  const moved = optimizer.step(
    piece,
    {
      parameter,
      gradient: at.scale ? piece.add('Mul', [gradient, at.scale]) : gradient,
      state,
      lr: at.lr,
      step: at.step,
      decay: at.decay,
      number: (value) => piece.floats(value, [1]),
    },
    shared,
  )
  for (const name of [moved.parameter, ...moved.state]) piece.output(name, 'float32', dims)
  const [next, ...states] = g.addMany(
    'Scan',
    [at.parameter, reshape(g, at.gradient, at.shape), ...at.state],
    { body: { graph: piece.graph() }, num_scan_inputs: 2 + state.length },
    { outputs: 1 + state.length },
  )
  return { parameter: next!, state: states }
}

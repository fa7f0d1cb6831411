import type { GraphBuilder } from '../../onnx/build.js'
import { reshape } from '../gradients/arithmetic.js'
import type { Network } from '../network.js'

/**
 * Mixup within a step of the training graph: its rows, and their labels, with their partners by the shares of its
 * inputs.
 */
export function mixing(g: GraphBuilder, network: Network, iteration: string) {
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

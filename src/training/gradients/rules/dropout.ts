import type { GradientRule } from '../contract.js'
import { unsupported } from '../contract.js'

/**
 * Dropout whose mask is an input of the training graph: onnxruntime's own draws from a stream that belongs to the
 * session, so a resumed run would differ.
 */
export const dropoutRule: GradientRule = {
  op: 'Dropout',
  forward(context) {
    const { g, node, attributes } = context
    const [x, y] = [node.input[0]!, node.output[0]!]
    const rate = node.input[1] ? context.constant(1)?.[0] : attributes.float('ratio', 0.5)
    if (rate === undefined || !(rate >= 0 && rate < 1)) throw unsupported(node, 'its ratio is not a constant below 1')
    if (rate === 0) {
      g.add('Identity', [x], {}, { outputs: [y] })
      return
    }
    const mask = context.mask(context.shape(x), rate)
    context.saved.set('mask', mask)
    g.add('Mul', [x, mask], {}, { outputs: [y] })
  },
  backward({ g, dy, saved }) {
    const mask = saved.get('mask')
    return [mask ? g.add('Mul', [dy, mask]) : dy]
  },
}

import { addAll, sumTo } from '../arithmetic.js'
import type { BackwardContext, GradientRule } from '../contract.js'

/** The wanted gradients of a broadcasting op, each summed down to its input's shape. */
function broadcast(context: BackwardContext, parts: readonly (() => string)[]): (string | undefined)[] {
  const from = context.shape(context.node.output[0]!)
  return parts.map((part, i) =>
    context.wanted(i) ? sumTo(context.g, part(), from, context.shape(context.node.input[i]!)) : undefined,
  )
}

export const addRule: GradientRule = {
  op: 'Add',
  backward: (context) => broadcast(context, [() => context.dy, () => context.dy]),
}

export const sumRule: GradientRule = {
  op: 'Sum',
  /** As additions in pairs: see addAll. */
  forward({ g, node }) {
    const { input, output } = node
    if (input.length === 1) g.add('Identity', input, {}, { outputs: output })
    else g.add('Add', [addAll(g, input.slice(0, -1)), input.at(-1)!], {}, { outputs: output })
  },
  backward: (context) =>
    broadcast(
      context,
      context.node.input.map(() => () => context.dy),
    ),
}

export const subRule: GradientRule = {
  op: 'Sub',
  backward: (context) => broadcast(context, [() => context.dy, () => context.g.add('Neg', [context.dy])]),
}

export const mulRule: GradientRule = {
  op: 'Mul',
  backward(context) {
    const [a, b] = context.node.input
    return broadcast(context, [
      () => context.g.add('Mul', [context.dy, b!]),
      () => context.g.add('Mul', [context.dy, a!]),
    ])
  },
}

/** y = a / b: da = dy / b, db = −dy · y / b. */
export const divRule: GradientRule = {
  op: 'Div',
  backward(context) {
    const { g, dy, node } = context
    const b = node.input[1]!
    return broadcast(context, [
      () => g.add('Div', [dy, b]),
      () => g.add('Neg', [g.add('Div', [g.add('Mul', [dy, node.output[0]!]), b])]),
    ])
  },
}

import { reshape } from '../arithmetic.js'
import { type GradientRule, unsupported } from '../contract.js'

/** Ops that only rename the axes: the gradient takes the input's shape. */
const reshaping = (op: string): GradientRule => ({
  op,
  backward: (context) => [reshape(context.g, context.dy, context.shape(context.node.input[0]!))],
})

export const reshapeRule = reshaping('Reshape')
export const flattenRule = reshaping('Flatten')
export const squeezeRule = reshaping('Squeeze')
export const unsqueezeRule = reshaping('Unsqueeze')

export const identityRule: GradientRule = { op: 'Identity', backward: ({ dy }) => [dy] }

/** The inverse permutation. */
export const transposeRule: GradientRule = {
  op: 'Transpose',
  backward({ g, node, dy, attributes, shape }) {
    const rank = shape(node.input[0]!).length
    const perm = attributes.ints('perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i)
    const inverse = perm.map((_, axis) => perm.indexOf(axis))
    return [g.add('Transpose', [dy], { perm: inverse })]
  },
}

/** The gradient is split as the inputs were joined. */
export const concatRule: GradientRule = {
  op: 'Concat',
  backward(context) {
    const { g, node, dy, attributes } = context
    const rank = context.shape(node.output[0]!).length
    const axis = (attributes.int('axis', 1) + rank) % rank
    if (node.input.length === 1) return [dy]
    const sizes = node.input.map((input) => context.shape(input)[axis]!)
    const parts = g.addMany('Split', [dy, g.ints(sizes)], { axis }, { outputs: sizes.length })
    return parts.map((part, i) => (context.wanted(i) ? part : undefined))
  },
}

/** The parts' gradients are joined; a part that nothing depends on counts as zero. */
export const splitRule: GradientRule = {
  op: 'Split',
  backward(context) {
    const { g, node, attributes } = context
    const parts = node.output.map(
      (output, i) => context.gradient(i) ?? g.add('ConstantOfShape', [g.ints(context.shape(output))]),
    )
    return [g.add('Concat', parts, { axis: attributes.int('axis', 0) })]
  },
}

/** Padding with a constant is undone by the same padding, negated. */
export const padRule: GradientRule = {
  op: 'Pad',
  backward(context) {
    const { g, node, dy, attributes } = context
    const mode = attributes.string('mode', 'constant')
    if (mode !== 'constant') throw unsupported(node, `padding mode ${mode} has no gradient here`)
    const pads = context.constant(1)
    if (!pads || node.input[3]) throw unsupported(node, 'its padding is not a plain constant')
    return [g.add('Pad', [dy, g.ints(pads.map((n) => -n))])]
  },
}

/** The gradient is spread evenly over what was averaged. */
export const reduceMeanRule: GradientRule = {
  op: 'ReduceMean',
  backward(context) {
    const { g, node, dy, attributes } = context
    const shape = context.shape(node.input[0]!)
    const listed = attributes.ints('axes') ?? context.constant(1)
    const axes = new Set(
      (listed?.length ? listed : shape.map((_, i) => i)).map((a) => (a + shape.length) % shape.length),
    )
    const kept = shape.map((n, i) => (axes.has(i) ? 1 : n))
    const count = shape.reduce((total, n, i) => (axes.has(i) ? total * n : total), 1)
    const mean = g.add('Mul', [reshape(g, dy, kept), g.floats(1 / count)])
    return [g.add('Expand', [mean, g.ints(shape)])]
  },
}

import {
  imageInput,
  type LayerContext,
  type LayerRule,
  numberField,
  onlyInput,
  outputName,
  refuse,
  textField,
  type Value,
  wholeField,
} from './context.js'

type Apply = (context: LayerContext, input: string, output: string, rank: number) => void

/** ONNX's channel axis for Keras' last one. */
const lastAxis = (rank: number): number => (rank === 3 ? 1 : -1)

const simple =
  (op: string): Apply =>
  ({ graph }, input, output) => {
    graph.add(op, [input], {}, { outputs: [output] })
  }

const clip =
  (low: number, high: number): Apply =>
  ({ graph }, input, output) => {
    graph.add('Clip', [input, graph.floats(low), graph.floats(high)], {}, { outputs: [output] })
  }

/** Keras' activation functions by the name that models carry. */
const activations: ReadonlyMap<string, Apply> = new Map<string, Apply>([
  ['relu', simple('Relu')],
  ['relu6', clip(0, 6)],
  ['sigmoid', simple('Sigmoid')],
  ['tanh', simple('Tanh')],
  ['softplus', simple('Softplus')],
  ['softsign', simple('Softsign')],
  ['elu', ({ graph }, input, output) => graph.add('Elu', [input], { alpha: { float: 1 } }, { outputs: [output] })],
  [
    'selu',
    ({ graph }, input, output) =>
      graph.add(
        'Selu',
        [input],
        { alpha: { float: 1.6732632423543772 }, gamma: { float: 1.0507009873554805 } },
        { outputs: [output] },
      ),
  ],
  [
    'hard_sigmoid',
    ({ graph }, input, output) =>
      graph.add('HardSigmoid', [input], { alpha: { float: 0.2 }, beta: { float: 0.5 } }, { outputs: [output] }),
  ],
  [
    'softmax',
    ({ graph }, input, output, rank) => graph.add('Softmax', [input], { axis: lastAxis(rank) }, { outputs: [output] }),
  ],
  [
    'swish',
    ({ graph }, input, output) => graph.add('Mul', [input, graph.add('Sigmoid', [input])], {}, { outputs: [output] }),
  ],
] as [string, Apply][])

const aliases: ReadonlyMap<string, string> = new Map([['silu', 'swish']])

/**
 * Puts the layer's own activation on top of what it computed. `compute` gets the name that its output must have: the
 * layer's own without an activation, else `<layer>/linear`.
 */
export function activated(context: LayerContext, shape: Value['shape'], compute: (output: string) => void): Value {
  const name = textField(context.layer, 'activation', 'linear')
  const output = outputName(context)
  if (name === 'linear') {
    compute(output)
    return { name: output, shape }
  }
  const inner = `${output}/linear`
  compute(inner)
  applyNamed(context, name, { name: inner, shape }, output)
  return { name: output, shape }
}

function applyNamed(context: LayerContext, name: string, input: Value, output: string): void {
  const apply = activations.get(aliases.get(name) ?? name)
  if (!apply) throw refuse(context.layer, `fc7 does not know the activation "${name}"`)
  apply(context, input.name, output, input.shape.length)
}

const activation: LayerRule = (context) => {
  const input = onlyInput(context)
  const name = textField(context.layer, 'activation')
  if (name === 'linear') return input
  applyNamed(context, name, input, outputName(context))
  return { name: outputName(context), shape: input.shape }
}

const relu: LayerRule = (context) => {
  const input = onlyInput(context)
  const { layer, graph } = context
  const value = { name: outputName(context), shape: input.shape }
  const slope = numberField(layer, 'negative_slope', 0)
  if (numberField(layer, 'threshold', 0) !== 0) throw refuse(layer, 'its threshold is not 0')
  const limit = layer.config.max_value
  const limited = limit !== undefined && limit !== null
  if (slope !== 0) {
    const target = limited ? graph.fresh('leaky') : value.name
    graph.add('LeakyRelu', [input.name], { alpha: { float: slope } }, { outputs: [target] })
    if (limited) {
      graph.add('Clip', [target, '', graph.floats(numberField(layer, 'max_value'))], {}, { outputs: [value.name] })
    }
  } else if (limited) {
    clip(0, numberField(layer, 'max_value'))(context, input.name, value.name, input.shape.length)
  } else {
    simple('Relu')(context, input.name, value.name, input.shape.length)
  }
  return value
}

const leakyRelu: LayerRule = (context) => {
  const input = onlyInput(context)
  const alpha = numberField(context.layer, 'alpha', numberField(context.layer, 'negative_slope', 0.3))
  context.graph.add('LeakyRelu', [input.name], { alpha: { float: alpha } }, { outputs: [outputName(context)] })
  return { name: outputName(context), shape: input.shape }
}

const elu: LayerRule = (context) => {
  const input = onlyInput(context)
  const alpha = numberField(context.layer, 'alpha', 1)
  context.graph.add('Elu', [input.name], { alpha: { float: alpha } }, { outputs: [outputName(context)] })
  return { name: outputName(context), shape: input.shape }
}

const softmax: LayerRule = (context) => {
  const input = onlyInput(context)
  const rank = input.shape.length + 1
  const axis = wholeField(context.layer, 'axis', -1)
  if (axis !== -1 && axis !== rank - 1) throw refuse(context.layer, `its axis is ${axis}, not the last`)
  applyNamed(context, 'softmax', input, outputName(context))
  return { name: outputName(context), shape: input.shape }
}

const preluWeights: LayerRule = (context) => {
  const { input, channels } = imageInput(context)
  const alpha = context.weight('alpha')
  // Only a slope for each channel, the same everywhere, has one meaning in both layouts.
  if (alpha.values.length !== channels) throw refuse(context.layer, 'its slopes differ from pixel to pixel')
  const slope = context.graph.initializer(`${context.layer.name}/alpha`, 'float32', [channels, 1, 1], alpha.values)
  context.graph.add('PRelu', [input.name, slope], {}, { outputs: [outputName(context)] })
  return { name: outputName(context), shape: input.shape }
}

export const activationRules: readonly [string, LayerRule][] = [
  ['Activation', activation],
  ['ReLU', relu],
  ['LeakyReLU', leakyRelu],
  ['ELU', elu],
  ['PReLU', preluWeights],
  ['Softmax', softmax],
]

import { z } from 'zod'
import {
  fieldOf,
  flagField,
  imageInput,
  type LayerContext,
  type LayerRule,
  needChannelsLast,
  numberField,
  onlyInput,
  outputName,
  padding,
  pairField,
  refuse,
  type Value,
  wholeField,
} from './context.js'

const done = (context: LayerContext, shape: Value['shape']): Value => ({ name: outputName(context), shape })

/** Layers that do nothing when a network is only run. */
const passOn: LayerRule = (context) => onlyInput(context)

const batchNormalization: LayerRule = (context) => {
  const { layer, graph } = context
  const input = onlyInput(context)
  const rank = input.shape.length + 1
  const axis = fieldOf(layer, 'axis', z.union([z.int(), z.array(z.int()).length(1)]), -1)
  const at = typeof axis === 'number' ? axis : (axis[0] ?? -1)
  const channels = input.shape.at(-1)
  if ((at !== -1 && at !== rank - 1) || (rank !== 2 && rank !== 4) || typeof channels !== 'number')
    throw refuse(layer, `its axis is ${at} of ${rank} dimensions`)
  const vector = (name: string, present: boolean, value: number): string => {
    const values = present ? context.weight(name).values : new Float32Array(channels).fill(value)
    if (values.length !== channels)
      throw refuse(layer, `its weight ${name} has ${values.length} values, not ${channels}`)
    return graph.initializer(`${layer.name}/${name}`, 'float32', [channels], values)
  }
  const inputs = [
    input.name,
    vector('gamma', flagField(layer, 'scale', true), 1),
    vector('beta', flagField(layer, 'center', true), 0),
    vector('moving_mean', true, 0),
    vector('moving_variance', true, 1),
  ]
  const epsilon = numberField(layer, 'epsilon', 1e-3)
  graph.add('BatchNormalization', inputs, { epsilon: { float: epsilon } }, { outputs: [outputName(context)] })
  return done(context, input.shape)
}

const pooling =
  (op: 'MaxPool' | 'AveragePool'): LayerRule =>
  (context) => {
    const { layer, graph } = context
    needChannelsLast(layer)
    const { input, height, width, channels } = imageInput(context)
    const kernel = pairField(layer, 'pool_size', [2, 2])
    const strides = pairField(layer, 'strides', kernel)
    const pad = padding(layer, { height, width }, { kernel, strides })
    // TensorFlow leaves padding out of an average, and so does ONNX by default (count_include_pad = 0).
    graph.add(
      op,
      [input.name],
      { kernel_shape: kernel, strides, ...pad.attributes },
      { outputs: [outputName(context)] },
    )
    return done(context, [pad.height, pad.width, channels])
  }

/** The pooled [N, C, 1, 1] carries the layer's name; what follows gets it flattened as `<layer>/flat`. */
const globalPooling =
  (op: 'GlobalAveragePool' | 'GlobalMaxPool'): LayerRule =>
  (context) => {
    const { layer, graph } = context
    needChannelsLast(layer)
    const { input, channels } = imageInput(context)
    graph.add(op, [input.name], {}, { outputs: [outputName(context)] })
    if (flagField(layer, 'keepdims', false)) return done(context, [1, 1, channels])
    const flat = graph.add('Flatten', [outputName(context)], { axis: 1 }, { outputs: [`${layer.name}/flat`] })
    return { name: flat, shape: [channels] }
  }

const amount = z.int().min(0).max(65_536)
const sides = z.union([
  amount.transform((n): [[number, number], [number, number]] => [
    [n, n],
    [n, n],
  ]),
  z.tuple([amount, amount]).transform(([h, w]): [[number, number], [number, number]] => [
    [h, h],
    [w, w],
  ]),
  z.tuple([z.tuple([amount, amount]), z.tuple([amount, amount])]),
]) as z.ZodType<[[number, number], [number, number]]>

const zeroPadding: LayerRule = (context) => {
  const { layer, graph } = context
  needChannelsLast(layer)
  const { input, height, width, channels } = imageInput(context)
  const [[top, bottom], [left, right]] = fieldOf(layer, 'padding', sides, [
    [1, 1],
    [1, 1],
  ])
  const pads = graph.ints([0, 0, top, left, 0, 0, bottom, right])
  graph.add('Pad', [input.name, pads], { mode: 'constant' }, { outputs: [outputName(context)] })
  const grown = (n: number | null, by: number): number | null => (n === null ? null : n + by)
  return done(context, [grown(height, top + bottom), grown(width, left + right), channels])
}

const cropping: LayerRule = (context) => {
  const { layer, graph } = context
  needChannelsLast(layer)
  const { input, height, width, channels } = imageInput(context)
  const [[top, bottom], [left, right]] = fieldOf(layer, 'cropping', sides)
  if (height === null || width === null || height <= top + bottom || width <= left + right)
    throw refuse(layer, 'it leaves nothing, or its input has an open size')
  const ends = graph.ints([height - bottom, width - right])
  const inputs = [input.name, graph.ints([top, left]), ends, graph.ints([2, 3])]
  graph.add('Slice', inputs, {}, { outputs: [outputName(context)] })
  return done(context, [height - top - bottom, width - left - right, channels])
}

/**
 * The input in Keras' own order of values: images are turned back to channels last, unless they have one pixel only.
 */
function inKerasOrder(context: LayerContext, input: Value): string {
  const [height, width] = input.shape
  if (input.shape.length !== 3 || (height === 1 && width === 1)) return input.name
  return context.graph.add('Transpose', [input.name], { perm: [0, 2, 3, 1] })
}

function knownSize(context: LayerContext, input: Value): number {
  const size = input.shape.reduce<number>((product, n) => product * (n ?? Number.NaN), 1)
  if (!Number.isFinite(size)) throw refuse(context.layer, 'its input has an open size')
  return size
}

const flatten: LayerRule = (context) => {
  const input = onlyInput(context)
  if (input.shape.length === 1) return input
  const size = knownSize(context, input)
  context.graph.add('Flatten', [inKerasOrder(context, input)], { axis: 1 }, { outputs: [outputName(context)] })
  return done(context, [size])
}

const reshape: LayerRule = (context) => {
  const { layer, graph } = context
  const input = onlyInput(context)
  const size = knownSize(context, input)
  // TensorFlow.js writes null where Keras writes -1.
  const target = fieldOf(layer, 'target_shape', z.array(z.int().min(-1).nullable()).min(1).max(3)).map((n) => n ?? -1)
  const rest = target.filter((n) => n !== -1).reduce((product, n) => product * n, 1)
  const shape = target.map((n) => (n === -1 ? size / rest : n))
  if (target.filter((n) => n === -1).length > 1 || shape.reduce((product, n) => product * n, 1) !== size)
    throw refuse(layer, `${size} values do not fit [${target.join(', ')}]`)
  const source = inKerasOrder(context, input)
  if (shape.length !== 3) {
    graph.add('Reshape', [source, graph.ints([0, ...shape])], {}, { outputs: [outputName(context)] })
    return done(context, shape)
  }
  const [height = 1, width = 1, channels = 1] = shape
  if (height === 1 && width === 1) {
    graph.add('Reshape', [source, graph.ints([0, channels, 1, 1])], {}, { outputs: [outputName(context)] })
  } else {
    const last = graph.add('Reshape', [source, graph.ints([0, height, width, channels])])
    graph.add('Transpose', [last], { perm: [0, 3, 1, 2] }, { outputs: [outputName(context)] })
  }
  return done(context, shape)
}

const merge =
  (op: string): LayerRule =>
  (context) => {
    const { layer, graph, inputs } = context
    const [first] = inputs
    if (!first || inputs.length < 2) throw refuse(layer, `it has ${inputs.length} inputs`)
    if (inputs.some(({ shape }) => shape.length !== first.shape.length))
      throw refuse(layer, 'its inputs have different numbers of dimensions')
    const shape = first.shape.map((_, i) => {
      const sizes = inputs.map((value) => value.shape[i] ?? null)
      const large = sizes.filter((n) => n !== 1)
      if (new Set(large).size > 1) throw refuse(layer, `its inputs do not fit: ${sizes.join(' and ')}`)
      return large.length === 0 ? 1 : (large[0] ?? null)
    })
    const names = inputs.map(({ name }) => name)
    const last = names.length - 1
    // Max, Min and Mean take any number; the others two at a time.
    if (op === 'Max' || op === 'Min' || op === 'Mean') {
      graph.add(op, names, {}, { outputs: [outputName(context)] })
    } else {
      names.slice(1).reduce((sum, name, i) => {
        const options = i + 1 === last ? { outputs: [outputName(context)] } : {}
        return graph.add(op, [sum, name], {}, options)
      }, names[0] ?? '')
    }
    return done(context, shape)
  }

const concatenate: LayerRule = (context) => {
  const { layer, graph, inputs } = context
  const [first] = inputs
  if (!first) throw refuse(layer, 'it has no input')
  const rank = first.shape.length + 1
  const given = wholeField(layer, 'axis', -1)
  const axis = given < 0 ? given + rank : given
  if (axis < 1 || axis >= rank || inputs.some(({ shape }) => shape.length + 1 !== rank))
    throw refuse(layer, `its axis is ${given}, or its inputs have different numbers of dimensions`)
  const onnxAxis = rank === 4 ? (axis === 3 ? 1 : axis + 1) : axis
  const names = inputs.map(({ name }) => name)
  graph.add('Concat', names, { axis: onnxAxis }, { outputs: [outputName(context)] })
  const sizes = inputs.map(({ shape }) => shape[axis - 1] ?? null)
  const total = sizes.includes(null) ? null : sizes.reduce<number>((sum, n) => sum + (n ?? 0), 0)
  return done(
    context,
    first.shape.map((n, i) => (i === axis - 1 ? total : n)),
  )
}

const rescaling: LayerRule = (context) => {
  const { layer, graph } = context
  const input = onlyInput(context)
  const scaled = graph.add('Mul', [input.name, graph.floats(numberField(layer, 'scale'))])
  const offset = graph.floats(numberField(layer, 'offset', 0))
  graph.add('Add', [scaled, offset], {}, { outputs: [outputName(context)] })
  return done(context, input.shape)
}

export const structureRules: readonly [string, LayerRule][] = [
  ['BatchNormalization', batchNormalization],
  ['MaxPooling2D', pooling('MaxPool')],
  ['AveragePooling2D', pooling('AveragePool')],
  ['GlobalAveragePooling2D', globalPooling('GlobalAveragePool')],
  ['GlobalMaxPooling2D', globalPooling('GlobalMaxPool')],
  ['ZeroPadding2D', zeroPadding],
  ['Cropping2D', cropping],
  ['Flatten', flatten],
  ['Reshape', reshape],
  ['Concatenate', concatenate],
  ['Add', merge('Add')],
  ['Subtract', merge('Sub')],
  ['Multiply', merge('Mul')],
  ['Average', merge('Mean')],
  ['Maximum', merge('Max')],
  ['Minimum', merge('Min')],
  ['Rescaling', rescaling],
  ['Dropout', passOn],
  ['SpatialDropout2D', passOn],
  ['AlphaDropout', passOn],
  ['GaussianDropout', passOn],
  ['GaussianNoise', passOn],
  ['ActivityRegularization', passOn],
]

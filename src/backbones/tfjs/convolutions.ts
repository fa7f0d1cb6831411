import { activated } from './activations.js'
import {
  flagField,
  imageInput,
  type LayerContext,
  type LayerRule,
  needChannelsLast,
  padding,
  pairField,
  refuse,
  wholeField,
} from './context.js'
import type { Weight } from './weights.js'

function needShape(context: LayerContext, weight: Weight, shape: readonly number[]): void {
  if (weight.shape.length !== shape.length || weight.shape.some((n, i) => n !== shape[i])) {
    throw refuse(context.layer, `its weight ${weight.name} is [${weight.shape.join(', ')}], not [${shape.join(', ')}]`)
  }
}

/** Keras' [height, width, in, out] as ONNX's [out, in, height, width]. */
function outInHeightWidth(values: Float32Array, pixels: number, inputs: number, outputs: number): Float32Array {
  const turned = new Float32Array(values.length)
  for (let p = 0; p < pixels; p++) {
    for (let i = 0; i < inputs; i++) {
      const row = (p * inputs + i) * outputs
      for (let o = 0; o < outputs; o++) turned[(o * inputs + i) * pixels + p] = values[row + o] ?? 0
    }
  }
  return turned
}

function biasOf(context: LayerContext, count: number): string[] {
  if (!flagField(context.layer, 'use_bias', true)) return []
  const bias = context.weight('bias')
  needShape(context, bias, [count])
  return [context.graph.initializer(`${context.layer.name}/bias`, 'float32', [count], bias.values)]
}

const conv2d: LayerRule = (context) => {
  const { layer, graph } = context
  needChannelsLast(layer)
  const { input, height, width, channels } = imageInput(context)
  const kernel = pairField(layer, 'kernel_size')
  const strides = pairField(layer, 'strides', [1, 1])
  const dilations = pairField(layer, 'dilation_rate', [1, 1])
  const filters = wholeField(layer, 'filters')
  const groups = wholeField(layer, 'groups', 1)
  if (groups < 1 || channels % groups !== 0)
    throw refuse(layer, `${channels} channels do not fall into ${groups} groups`)
  const weight = context.weight('kernel')
  needShape(context, weight, [...kernel, channels / groups, filters])
  const weights = graph.initializer(
    `${layer.name}/kernel`,
    'float32',
    [filters, channels / groups, ...kernel],
    outInHeightWidth(weight.values, kernel[0] * kernel[1], channels / groups, filters),
  )
  const pad = padding(layer, { height, width }, { kernel, strides, dilations })
  return activated(context, [pad.height, pad.width, filters], (output) => {
    graph.add(
      'Conv',
      [input.name, weights, ...biasOf(context, filters)],
      { kernel_shape: kernel, strides, dilations, group: groups, ...pad.attributes },
      { outputs: [output] },
    )
  })
}

/** The depthwise step: channel c gives the outputs c × multiplier …, in Keras and ONNX alike. */
function depthwise(context: LayerContext): {
  add(bias: readonly string[], output: string): void
  shape: [number | null, number | null, number]
} {
  const { layer, graph } = context
  needChannelsLast(layer)
  const { input, height, width, channels } = imageInput(context)
  const kernel = pairField(layer, 'kernel_size')
  const strides = pairField(layer, 'strides', [1, 1])
  const dilations = pairField(layer, 'dilation_rate', [1, 1])
  const weight = context.weight('depthwise_kernel')
  // The weight tells it: TensorFlow.js writes separable layers with a wrong or no depth_multiplier.
  const multiplier = weight.shape.at(-1) ?? 1
  needShape(context, weight, [...kernel, channels, multiplier])
  const outputs = channels * multiplier
  const weights = graph.initializer(
    `${layer.name}/depthwise_kernel`,
    'float32',
    [outputs, 1, ...kernel],
    outInHeightWidth(weight.values, kernel[0] * kernel[1], 1, outputs),
  )
  const pad = padding(layer, { height, width }, { kernel, strides, dilations })
  return {
    shape: [pad.height, pad.width, outputs],
    add: (bias, output) => {
      graph.add(
        'Conv',
        [input.name, weights, ...bias],
        { kernel_shape: kernel, strides, dilations, group: channels, ...pad.attributes },
        { outputs: [output] },
      )
    },
  }
}

const depthwiseConv2d: LayerRule = (context) => {
  const step = depthwise(context)
  return activated(context, step.shape, (output) => step.add(biasOf(context, step.shape[2]), output))
}

const separableConv2d: LayerRule = (context) => {
  const { layer, graph } = context
  const step = depthwise(context)
  const [height, width, between] = step.shape
  const filters = wholeField(layer, 'filters')
  const pointwise = context.weight('pointwise_kernel')
  needShape(context, pointwise, [1, 1, between, filters])
  const weights = graph.initializer(
    `${layer.name}/pointwise_kernel`,
    'float32',
    [filters, between, 1, 1],
    outInHeightWidth(pointwise.values, 1, between, filters),
  )
  const middle = `${layer.name}/depthwise`
  step.add([], middle)
  return activated(context, [height, width, filters], (output) => {
    graph.add('Conv', [middle, weights, ...biasOf(context, filters)], { kernel_shape: [1, 1] }, { outputs: [output] })
  })
}

const dense: LayerRule = (context) => {
  const { layer, graph } = context
  const [input] = context.inputs
  const inputs = input?.shape.at(-1)
  if (!input || context.inputs.length !== 1 || typeof inputs !== 'number')
    throw refuse(layer, 'the number of its inputs is open')
  const units = wholeField(layer, 'units')
  const weight = context.weight('kernel')
  needShape(context, weight, [inputs, units])
  const shape = [...input.shape.slice(0, -1), units]
  const bias = biasOf(context, units)
  if (input.shape.length === 1) {
    const weights = graph.initializer(`${layer.name}/kernel`, 'float32', [inputs, units], weight.values)
    return activated(context, shape, (output) => {
      graph.add('Gemm', [input.name, weights, ...bias], {}, { outputs: [output] })
    })
  }
  if (input.shape.length !== 3) throw refuse(layer, `its input has ${input.shape.length} dimensions`)
  // On an image, Dense works on the channels of every pixel: a 1×1 convolution.
  const turned = outInHeightWidth(weight.values, 1, inputs, units)
  const weights = graph.initializer(`${layer.name}/kernel`, 'float32', [units, inputs, 1, 1], turned)
  return activated(context, shape, (output) => {
    graph.add('Conv', [input.name, weights, ...bias], { kernel_shape: [1, 1] }, { outputs: [output] })
  })
}

export const weightedRules: readonly [string, LayerRule][] = [
  ['Conv2D', conv2d],
  ['DepthwiseConv2D', depthwiseConv2d],
  ['SeparableConv2D', separableConv2d],
  ['Dense', dense],
]

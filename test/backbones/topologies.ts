import { GraphBuilder, tensor } from '../../src/onnx/build.js'
import type { ModelProto } from '../../src/onnx/generated/onnx_pb.js'

/**
 * Topologies of networks whose light models the ONNX project does not publish, written after the papers and in the form
 * in which the zoo's files hold them (which exporter, which operators at the end). Weights are constants that take no
 * space, as in the light models: a network is a few kilobytes here.
 */
class Net {
  readonly graph: GraphBuilder

  constructor(
    name: string,
    readonly batch: number | string,
  ) {
    this.graph = new GraphBuilder(name)
  }

  weight(dims: readonly number[], value = 0.01): string {
    const shape = this.graph.ints(dims)
    return this.graph.add('ConstantOfShape', [shape], {
      value: { tensor: tensor('', 'float32', [1], Float32Array.of(value)) },
    })
  }

  conv(x: string, from: number, to: number, kernel = 3, stride = 1, group = 1, bias = true): string {
    const weights = this.weight([to, from / group, kernel, kernel])
    const pad = Math.floor(kernel / 2)
    const inputs = bias ? [x, weights, this.weight([to])] : [x, weights]
    const attributes = { kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [pad, pad, pad, pad], group }
    return this.graph.add('Conv', inputs, attributes)
  }

  norm(x: string, channels: number): string {
    const vectors = [0, 1, 2, 3].map(() => this.weight([channels], 1))
    return this.graph.add('BatchNormalization', [x, ...vectors])
  }

  relu = (x: string): string => this.graph.add('Relu', [x])

  /** ReLU6 as PyTorch exports it in operator set 12. */
  relu6 = (x: string): string => this.graph.add('Clip', [x, this.graph.floats(0), this.graph.floats(6)])

  maxPool(x: string, kernel: number, stride: number, pad = 0): string {
    const attributes = { kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [pad, pad, pad, pad] }
    return this.graph.add('MaxPool', [x], attributes)
  }

  dense(x: string, from: number, to: number): string {
    return this.graph.add('Gemm', [x, this.weight([to, from]), this.weight([to])], { transB: 1 })
  }

  input(name = 'data'): string {
    return this.graph.input(name, 'float32', [this.batch, 3, 224, 224])
  }

  /** `x.flatten(1)` as older PyTorch exporters write it: the shape is computed from the image's own. */
  dynamicFlatten(x: string): string {
    const batch = this.graph.add('Gather', [this.graph.add('Shape', [x]), this.graph.ints(0)], { axis: 0 })
    const parts = [this.graph.add('Unsqueeze', [batch], { axes: [0] }), this.graph.ints([-1])]
    return this.graph.add('Reshape', [x, this.graph.add('Concat', parts, { axis: 0 })])
  }

  model(output: string, opset: number): ModelProto {
    this.graph.output(output, 'float32', [this.batch, 1000])
    return this.graph.model(opset)
  }
}

/** As MXNet exports it: operator set 7, batch open or 1, Flatten before every Gemm, Dropout kept, no Softmax. */
export function vgg(convs: readonly number[], norm: boolean, opset: number, batch: number | string): ModelProto {
  const net = new Net('vgg', batch)
  let x = net.input()
  let channels = 3
  convs.forEach((count, block) => {
    const width = Math.min(512, 64 * 2 ** block)
    for (let i = 0; i < count; i++) {
      x = net.conv(x, channels, width)
      if (norm) x = net.norm(x, width)
      x = net.relu(x)
      channels = width
    }
    x = net.maxPool(x, 2, 2)
  })
  const flatten = (y: string): string => net.graph.add('Flatten', [y])
  x = net.relu(net.dense(flatten(x), 25_088, 4096))
  x = net.graph.add('Dropout', [x])
  x = net.relu(net.dense(flatten(x), 4096, 4096))
  x = net.graph.add('Dropout', [x])
  return net.model(net.dense(flatten(x), 4096, 1000), opset)
}

/** MXNet's ResNet v1: basic blocks or bottlenecks, the stride in a bottleneck's first convolution. */
export function resnet(blocks: readonly number[], bottleneck: boolean, opset: number): ModelProto {
  const net = new Net('resnet', 'N')
  let x = net.maxPool(net.relu(net.norm(net.conv(net.input(), 3, 64, 7, 2, 1, false), 64)), 3, 2, 1)
  let channels = 64
  blocks.forEach((count, stage) => {
    const width = 64 * 2 ** stage * (bottleneck ? 4 : 1)
    for (let i = 0; i < count; i++) {
      const stride = i === 0 && stage > 0 ? 2 : 1
      const inner = width / 4
      const step = (y: string, from: number, to: number, kernel: number, by: number): string =>
        net.norm(net.conv(y, from, to, kernel, by), to)
      const body = bottleneck
        ? step(net.relu(step(net.relu(step(x, channels, inner, 1, stride)), inner, inner, 3, 1)), inner, width, 1, 1)
        : step(net.relu(step(x, channels, width, 3, stride)), width, width, 3, 1)
      const shortcut = channels === width && stride === 1 ? x : step(x, channels, width, 1, stride)
      x = net.relu(net.graph.add('Add', [body, shortcut]))
      channels = width
    }
  })
  const pooled = net.graph.add('GlobalAveragePool', [x])
  return net.model(net.dense(net.graph.add('Flatten', [pooled]), channels, 1000), opset)
}

/** PyTorch's MobileNetV2 in operator set 12: inverted residuals, ReLU6 as Clip, the last Reshape's shape computed. */
export function mobileNetV2(): ModelProto {
  const net = new Net('mobilenetv2', 'batch_size')
  let x = net.relu6(net.conv(net.input('input'), 3, 32, 3, 2))
  let channels = 32
  const settings = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
  ] as const
  for (const [expand, width, count, first] of settings) {
    for (let i = 0; i < count; i++) {
      const stride = i === 0 ? first : 1
      const inner = channels * expand
      let y = x
      if (expand > 1) y = net.relu6(net.conv(y, channels, inner, 1))
      y = net.relu6(net.conv(y, inner, inner, 3, stride, inner))
      y = net.conv(y, inner, width, 1)
      x = stride === 1 && channels === width ? net.graph.add('Add', [x, y]) : y
      channels = width
    }
  }
  const pooled = net.graph.add('GlobalAveragePool', [net.relu6(net.conv(x, channels, 1280, 1))])
  return net.model(net.dense(net.dynamicFlatten(pooled), 1280, 1000), 12)
}

/**
 * PyTorch's ShuffleNet v2 1.0×: split, shuffle by Reshape and Transpose with the batch in the shape, ReduceMean at the
 * end.
 */
export function shuffleNetV2(): ModelProto {
  const net = new Net('shufflenetv2', 'batch_size')
  const { graph } = net
  let x = net.maxPool(net.relu(net.conv(net.input('input'), 3, 24, 3, 2)), 3, 2, 1)
  let channels = 24
  let side = 56
  const shuffle = (y: string, width: number): string => {
    const batch = graph.add('Gather', [graph.add('Shape', [y]), graph.ints(0)], { axis: 0 })
    const first = graph.add('Unsqueeze', [batch], { axes: [0] })
    const split = graph.add('Concat', [first, graph.ints([2, width / 2, side, side])], { axis: 0 })
    const joined = graph.add('Concat', [first, graph.ints([-1, side, side])], { axis: 0 })
    const turned = graph.add('Transpose', [graph.add('Reshape', [y, split])], { perm: [0, 2, 1, 3, 4] })
    return graph.add('Reshape', [turned, joined])
  }
  const branch = (y: string, from: number, half: number, stride: number): string => {
    const expanded = net.relu(net.conv(y, from, half, 1))
    return net.relu(net.conv(net.conv(expanded, half, half, 3, stride, half), half, half, 1))
  }
  for (const [width, count] of [
    [116, 4],
    [232, 8],
    [464, 4],
  ] as const) {
    const half = width / 2
    side /= 2
    const left = net.relu(net.conv(net.conv(x, channels, channels, 3, 2, channels), channels, half, 1))
    x = shuffle(graph.add('Concat', [left, branch(x, channels, half, 2)], { axis: 1 }), width)
    for (let i = 1; i < count; i++) {
      const [a, b] = graph.addMany('Split', [x], { axis: 1, split: [half, half] }, { outputs: 2 }) as [string, string]
      x = shuffle(graph.add('Concat', [a, branch(b, half, half, 1)], { axis: 1 }), width)
    }
    channels = width
  }
  const last = net.relu(net.conv(x, channels, 1024, 1))
  const pooled = graph.add('ReduceMean', [last], { axes: [2, 3], keepdims: 0 })
  return net.model(net.dense(pooled, 1024, 1000), 12)
}

/**
 * TensorFlow's EfficientNet-Lite4 as tf2onnx writes it: channels last at the input, batch 1, MatMul and Add for the
 * last layer.
 */
export function efficientNetLite4(): ModelProto {
  const net = new Net('efficientnet', 1)
  const { graph } = net
  graph.input('images:0', 'float32', [1, 224, 224, 3])
  let x = net.relu6(net.conv(graph.add('Transpose', ['images:0'], { perm: [0, 3, 1, 2] }), 3, 32, 3, 2))
  let channels = 32
  const settings = [
    [1, 24, 1, 1, 3],
    [6, 32, 4, 2, 3],
    [6, 56, 4, 2, 5],
    [6, 112, 6, 2, 3],
    [6, 160, 6, 1, 5],
    [6, 272, 8, 2, 5],
    [6, 448, 1, 1, 3],
  ] as const
  for (const [expand, width, count, first, kernel] of settings) {
    for (let i = 0; i < count; i++) {
      const stride = i === 0 ? first : 1
      const inner = channels * expand
      let y = expand > 1 ? net.relu6(net.conv(x, channels, inner, 1)) : x
      y = net.relu6(net.conv(y, inner, inner, kernel, stride, inner))
      y = net.conv(y, inner, width, 1)
      x = stride === 1 && channels === width ? graph.add('Add', [y, x]) : y
      channels = width
    }
  }
  const pooled = graph.add('GlobalAveragePool', [net.relu6(net.conv(x, channels, 1280, 1))])
  const flat = graph.add('Squeeze', [pooled], { axes: [2, 3] })
  const scores = graph.add('Add', [graph.add('MatMul', [flat, net.weight([1280, 1000])]), net.weight([1000])])
  return net.model(graph.add('Softmax', [scores], {}, { outputs: ['Softmax:0'] }), 11)
}

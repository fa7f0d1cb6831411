import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../../src/base/random.js'
import { encodeModel, GraphBuilder } from '../../../src/onnx/build.js'
import { lrnAsConv } from '../../../src/onnx/rewrites/lrn.js'
import { inferShapes } from '../../../src/onnx/shapes/shapes.js'
import { loadOrt } from '../../../src/runtime/ort.js'
import { closeSession, openSession } from '../../../src/runtime/session.js'

type Build = (b: GraphBuilder) => string

const conv =
  (size: number, attributes: Record<string, string | number | number[]>): Build =>
  (b) =>
    b.add(
      'Conv',
      ['x', b.initializer('w', 'float32', [5, 6, size, size], new Float32Array(30 * size * size).fill(0.01))],
      { kernel_shape: [size, size], ...attributes },
    )

const cases: [string, Build][] = [
  ['Conv with pads, strides and dilations', conv(3, { pads: [1, 0, 2, 1], strides: [2, 3], dilations: [2, 1] })],
  ['Conv SAME_UPPER', conv(3, { auto_pad: 'SAME_UPPER', strides: [2, 2] })],
  ['Conv VALID', conv(4, { auto_pad: 'VALID', strides: [3, 2] })],
  ['MaxPool ceil_mode', (b) => b.add('MaxPool', ['x'], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 })],
  [
    'MaxPool ceil_mode with pads, last window in the padding',
    (b) => b.add('MaxPool', ['x'], { kernel_shape: [2, 2], strides: [3, 3], ceil_mode: 1, pads: [1, 1, 1, 1] }),
  ],
  ['AveragePool', (b) => b.add('AveragePool', ['x'], { kernel_shape: [2, 3], pads: [0, 1, 1, 1], strides: [2, 2] })],
  ['GlobalAveragePool', (b) => b.add('GlobalAveragePool', ['x'])],
  ['Flatten', (b) => b.add('Flatten', ['x'])],
  ['Reshape with 0 and -1', (b) => b.add('Reshape', ['x', b.ints([0, 2, -1, 10])])],
  ['Transpose', (b) => b.add('Transpose', ['x'], { perm: [0, 2, 3, 1] })],
  ['Concat', (b) => b.add('Concat', ['x', 'x', 'x'], { axis: 1 })],
  ['Pad', (b) => b.add('Pad', ['x', b.ints([0, 0, 1, 2, 0, 0, 3, 4])])],
  ['Slice', (b) => b.add('Slice', ['x', b.ints([1, -4]), b.ints([9, 100]), b.ints([2, 3]), b.ints([2, 1])])],
  ['ReduceMean', (b) => b.add('ReduceMean', ['x'], { axes: [2, 3], keepdims: 0 })],
  ['Squeeze and Unsqueeze', (b) => b.add('Squeeze', [b.add('Unsqueeze', ['x', b.ints([1])]), b.ints([1])])],
  ['broadcast', (b) => b.add('Mul', ['x', b.floats([1, 2, 3, 4, 5, 6], [6, 1, 1])])],
  [
    'Gemm transB',
    (b) =>
      b.add('Gemm', [b.add('Flatten', ['x']), b.initializer('g', 'float32', [7, 660], new Float32Array(4620))], {
        transB: 1,
      }),
  ],
  [
    'Shape, Gather, Concat, Reshape',
    (b) => {
      const n = b.add('Gather', [b.add('Shape', ['x']), b.ints([0])])
      return b.add('Reshape', ['x', b.add('Concat', [n, b.ints([-1])], { axis: 0 })])
    },
  ],
]

describe('shape inference agrees with what onnxruntime computes', () => {
  it.each(cases)('%s', async (_, build) => {
    const b = new GraphBuilder('case')
    b.input('x', 'float32', ['N', 6, 11, 10])
    b.output(build(b), 'float32', [])
    const model = b.model(13)
    const name = model.graph!.output[0]!.name
    delete (model.graph!.output[0] as { type?: unknown }).type
    const inferred = inferShapes(model).get(name)?.shape
    model.graph!.output[0]!.type = {
      $typeName: 'onnx.TypeProto',
      denotation: '',
      value: { case: 'tensorType', value: { $typeName: 'onnx.TypeProto.Tensor', elemType: 1 } },
    }
    const session = await openSession(encodeModel(model))
    const x = new (loadOrt().Tensor)('float32', new Float32Array(3 * 660), [3, 6, 11, 10])
    const result = await session.run({ x })
    await closeSession(session)
    expect(inferred?.map((dim) => (dim === 'N' ? 3 : dim))).toEqual([...result[name]!.dims])
  })
})

describe('LRN as a convolution', () => {
  it.each([
    [5, 0.75, 1, 12],
    [7, 0.75, 2, 7],
    [3, 0.5, 1, 5],
  ])('size %i, beta %f, bias %f, %i channels: equal to 1e-5', async (size, beta, bias, channels) => {
    const b = new GraphBuilder('lrn')
    b.input('x', 'float32', ['N', channels, 3, 4])
    const attributes = { size, alpha: { float: 0.3 }, beta: { float: beta }, bias: { float: bias } }
    b.output(b.add('LRN', ['x'], attributes), 'float32', ['N', channels, 3, 4])
    const model = b.model(13)
    const rewritten = lrnAsConv.apply(model)
    expect(rewritten.changed).toBe(1)
    const random = createRandom(size)
    const values = Float32Array.from({ length: 2 * channels * 12 }, () => 5 * random.normal())
    const results = await Promise.all(
      [model, rewritten.model].map(async (one) => {
        const session = await openSession(encodeModel(one))
        const x = new (loadOrt().Tensor)('float32', values, [2, channels, 3, 4])
        const result = await session.run({ x })
        await closeSession(session)
        return Object.values(result)[0]!.data as Float32Array
      }),
    )
    const worst = Math.max(...values.map((_, i) => Math.abs(results[0]![i]! - results[1]![i]!)))
    expect(worst).toBeLessThan(1e-5)
    expect(Math.max(...results[0]!)).toBeGreaterThan(0.5)
  })
})

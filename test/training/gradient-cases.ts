import type { AttributeValue } from '../../src/onnx/build.js'

/** One form of one op. `inputs` beginning with `variable` are differentiated; `ints` are constants of the graph. */
export interface GradientCase {
  readonly op: string
  readonly label: string
  readonly attributes?: Readonly<Record<string, AttributeValue>>
  readonly inputs: readonly GradientInput[]
  readonly outputs?: number
  readonly batchStatistics?: boolean
}

export type GradientInput =
  | { readonly variable: readonly number[]; readonly positive?: boolean }
  | { readonly ints: readonly number[] }
  | { readonly floats: readonly number[]; readonly dims: readonly number[] }

const v = (...variable: number[]): GradientInput => ({ variable })
const p = (...variable: number[]): GradientInput => ({ variable, positive: true })
const conv = (
  label: string,
  x: number[],
  w: number[],
  attributes: Record<string, AttributeValue> = {},
  bias = false,
): GradientCase => ({
  op: 'Conv',
  label,
  inputs: [v(...x), v(...w), ...(bias ? [v(w[0]!)] : [])],
  attributes: { kernel_shape: w.slice(2), ...attributes },
})
const pool = (op: string, label: string, x: number[], attributes: Record<string, AttributeValue>): GradientCase => ({
  op,
  label,
  inputs: [v(...x)],
  attributes,
})
const unary = (op: string, attributes: Record<string, AttributeValue> = {}, input = v(3, 7)): GradientCase => ({
  op,
  label: 'elementwise',
  inputs: [input],
  attributes,
})

export const gradientCases: readonly GradientCase[] = [
  { op: 'MatMul', label: '2-D', inputs: [v(3, 4), v(4, 5)] },
  { op: 'MatMul', label: 'batched by matrix', inputs: [v(2, 3, 4), v(4, 5)] },
  { op: 'MatMul', label: 'batched, broadcast', inputs: [v(2, 3, 3, 4), v(3, 4, 2)] },
  { op: 'Gemm', label: 'plain with bias', inputs: [v(3, 4), v(4, 5), v(5)] },
  { op: 'Gemm', label: 'transB', inputs: [v(3, 4), v(5, 4), v(5)], attributes: { transB: 1 } },
  { op: 'Gemm', label: 'transA', inputs: [v(4, 3), v(4, 5)], attributes: { transA: 1, alpha: { float: 0.5 } } },
  {
    op: 'Gemm',
    label: 'both transposed, scaled',
    inputs: [v(4, 3), v(5, 4), v(3, 1)],
    attributes: { transA: 1, transB: 1, alpha: { float: 0.5 }, beta: { float: 2 } },
  },
  unary('Relu'),
  unary('LeakyRelu', { alpha: { float: 0.1 } }),
  unary('Sigmoid'),
  unary('Tanh'),
  unary('Exp'),
  unary('Sqrt', {}, p(3, 5)),
  { op: 'Clip', label: 'both bounds', inputs: [v(4, 6), { floats: [-0.5], dims: [] }, { floats: [1], dims: [] }] },
  { op: 'Clip', label: 'lower bound only', inputs: [v(4, 6), { floats: [0.1], dims: [] }] },
  unary('HardSigmoid', { alpha: { float: 0.4 }, beta: { float: 0.5 } }),
  { op: 'HardSwish', label: 'all three pieces', inputs: [v(5, 8)] },
  unary('Softmax', { axis: -1 }),
  { op: 'Softmax', label: 'axis 1 of 3', inputs: [v(2, 3, 4)], attributes: { axis: 1 } },
  unary('LogSoftmax', { axis: -1 }),
  { op: 'Add', label: 'same shape', inputs: [v(2, 3), v(2, 3)] },
  { op: 'Add', label: 'broadcast both ways', inputs: [v(2, 1, 4), v(3, 1)] },
  { op: 'Sum', label: 'three', inputs: [v(2, 3), v(2, 3), v(1, 3)] },
  { op: 'Sub', label: 'broadcast', inputs: [v(2, 3), v(3)] },
  { op: 'Mul', label: 'per channel', inputs: [v(2, 3, 2, 2), v(3, 1, 1)] },
  { op: 'Div', label: 'broadcast', inputs: [v(2, 3), p(2, 1)] },
  { op: 'Reshape', label: 'fold', inputs: [v(2, 3, 4), { ints: [2, -1] }] },
  { op: 'Flatten', label: 'axis 1', inputs: [v(2, 3, 4)] },
  { op: 'Squeeze', label: 'spatial', inputs: [v(2, 3, 1, 1), { ints: [2, 3] }] },
  { op: 'Unsqueeze', label: 'end', inputs: [v(2, 3), { ints: [2] }] },
  { op: 'Identity', label: 'pass', inputs: [v(2, 3)] },
  { op: 'Transpose', label: 'cycle', inputs: [v(2, 3, 4)], attributes: { perm: [2, 0, 1] } },
  { op: 'Transpose', label: 'default', inputs: [v(2, 3)] },
  { op: 'Concat', label: 'channels', inputs: [v(2, 3, 2), v(2, 1, 2), v(2, 2, 2)], attributes: { axis: 1 } },
  { op: 'Concat', label: 'negative axis', inputs: [v(2, 3), v(2, 2)], attributes: { axis: -1 } },
  { op: 'Split', label: 'two parts', inputs: [v(2, 5), { ints: [2, 3] }], attributes: { axis: 1 }, outputs: 2 },
  { op: 'Pad', label: 'zeros', inputs: [v(2, 2, 3, 3), { ints: [0, 0, 1, 2, 0, 0, 2, 1] }] },
  { op: 'Pad', label: 'crop', inputs: [v(1, 2, 4, 4), { ints: [0, 0, -1, 1, 0, 0, 0, -2] }] },
  { op: 'ReduceMean', label: 'spatial', inputs: [v(2, 3, 2, 4)], attributes: { axes: [2, 3], keepdims: 1 } },
  { op: 'ReduceMean', label: 'dropped axis', inputs: [v(2, 3, 4)], attributes: { axes: [-1], keepdims: 0 } },
  { op: 'GlobalAveragePool', label: 'all', inputs: [v(2, 3, 3, 4)] },
  { op: 'Dropout', label: 'ratio 0.5', inputs: [v(4, 5), { floats: [0.5], dims: [] }] },
  conv('3×3 same', [2, 3, 5, 5], [4, 3, 3, 3], { pads: [1, 1, 1, 1] }, true),
  conv('1×1', [2, 3, 4, 4], [5, 3, 1, 1], {}, true),
  conv('3×3, more weights than values', [2, 4, 3, 3], [6, 4, 3, 3], { pads: [1, 1, 1, 1] }),
  conv('1×1, more weights than values', [2, 5, 2, 2], [6, 5, 1, 1]),
  conv('1×1 stride 2 of an even plane', [2, 3, 6, 4], [2, 3, 1, 1], { strides: [2, 2] }, true),
  conv('1×1 strides 3 and 1, more weights than values', [1, 5, 5, 2], [6, 5, 1, 1], { strides: [3, 1] }),
  conv('1×1 strides 1 and 2', [2, 2, 5, 6], [2, 2, 1, 1], { strides: [1, 2] }),
  conv('1×1 stride 3', [1, 2, 6, 6], [3, 2, 1, 1], { strides: [3, 3] }),
  conv('dilated by its stride', [1, 2, 9, 9], [2, 2, 3, 3], { dilations: [2, 2], strides: [2, 2], pads: [1, 0, 0, 1] }),
  conv('depthwise stride 3', [1, 3, 8, 7], [3, 1, 3, 3], { group: 3, pads: [1, 1, 1, 1], strides: [3, 3] }),
  conv('1×1 stride 2', [2, 3, 5, 5], [2, 3, 1, 1], { strides: [2, 2] }),
  conv('3×3 stride 2', [2, 2, 7, 6], [3, 2, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] }),
  conv('3×3 stride 2, rows left over', [1, 2, 8, 8], [2, 2, 3, 3], { strides: [2, 2] }),
  conv('3×2 uneven pads', [1, 2, 5, 6], [2, 2, 3, 2], { pads: [0, 1, 2, 0] }),
  conv('valid', [2, 2, 5, 5], [3, 2, 3, 3]),
  conv('dilated', [1, 2, 7, 7], [2, 2, 3, 3], { dilations: [2, 2], pads: [2, 2, 2, 2] }),
  conv('dilated and strided', [1, 2, 8, 8], [2, 2, 3, 3], { dilations: [2, 1], strides: [1, 2] }),
  conv('SAME_UPPER stride 2', [1, 2, 6, 6], [2, 2, 3, 3], { auto_pad: 'SAME_UPPER', strides: [2, 2] }),
  conv('SAME_LOWER', [1, 1, 5, 5], [2, 1, 2, 2], { auto_pad: 'SAME_LOWER' }),
  conv('wide padding', [1, 1, 3, 3], [1, 1, 1, 1], { pads: [1, 1, 1, 1] }),
  conv('5×5 stem stride 2', [2, 2, 9, 9], [2, 2, 5, 5], { strides: [2, 2], pads: [2, 2, 2, 2] }),
  conv('4×4 stem stride 3', [2, 1, 9, 8], [2, 1, 4, 4], { strides: [3, 3] }),
  conv('5×1 with 11 taps', [2, 1, 13, 2], [2, 1, 11, 1], { pads: [5, 0, 5, 0] }),
  conv('depthwise', [2, 4, 5, 5], [4, 1, 3, 3], { group: 4, pads: [1, 1, 1, 1] }, true),
  conv('depthwise stride 2', [1, 3, 6, 6], [3, 1, 3, 3], { group: 3, pads: [1, 1, 1, 1], strides: [2, 2] }),
  conv('depthwise, multiplier 2', [1, 2, 5, 5], [4, 1, 3, 3], { group: 2 }),
  conv('grouped', [2, 4, 4, 4], [6, 2, 3, 3], { group: 2, pads: [1, 1, 1, 1] }),
  conv('grouped 1×1', [2, 6, 3, 3], [3, 2, 1, 1], { group: 3 }),
  conv('grouped stride 2', [1, 4, 6, 6], [4, 2, 3, 3], { group: 2, strides: [2, 2], pads: [1, 1, 1, 1] }),
  pool('MaxPool', '2×2', [2, 3, 4, 4], { kernel_shape: [2, 2], strides: [2, 2] }),
  pool('MaxPool', '3×3 overlapping', [1, 2, 7, 7], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
  pool('MaxPool', 'dilated', [2, 1, 7, 6], { kernel_shape: [3, 2], dilations: [2, 2], strides: [1, 2] }),
  pool('MaxPool', 'SAME_UPPER', [1, 2, 6, 5], { kernel_shape: [3, 3], strides: [2, 2], auto_pad: 'SAME_UPPER' }),
  pool('MaxPool', 'ceil', [1, 2, 6, 6], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }),
  pool('AveragePool', '2×2', [2, 3, 4, 4], { kernel_shape: [2, 2], strides: [2, 2] }),
  pool('AveragePool', 'overlapping, padded', [1, 2, 5, 5], {
    kernel_shape: [3, 3],
    strides: [1, 1],
    pads: [1, 1, 1, 1],
  }),
  pool('AveragePool', 'SAME_UPPER', [2, 1, 6, 5], { kernel_shape: [3, 2], strides: [2, 2], auto_pad: 'SAME_UPPER' }),
  pool('AveragePool', 'SAME_LOWER', [1, 2, 5, 5], { kernel_shape: [2, 2], strides: [1, 1], auto_pad: 'SAME_LOWER' }),
  pool('AveragePool', 'padding counted', [1, 2, 6, 5], {
    kernel_shape: [3, 3],
    strides: [2, 2],
    pads: [1, 1, 1, 1],
    count_include_pad: 1,
  }),
  pool('AveragePool', 'one window over all', [2, 3, 3, 4], { kernel_shape: [3, 4], strides: [1, 1] }),
  pool('AveragePool', 'rows left over', [1, 2, 7, 7], { kernel_shape: [2, 2], strides: [2, 2] }),
  pool('AveragePool', 'ceil', [1, 2, 6, 6], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }),
  {
    op: 'BatchNormalization',
    label: 'frozen',
    inputs: [v(2, 3, 2, 2), v(3), v(3), { floats: [0.1, -0.2, 0.3], dims: [3] }, { floats: [0.5, 1, 2], dims: [3] }],
  },
  {
    op: 'BatchNormalization',
    label: 'training',
    inputs: [v(3, 2, 2, 3), v(2), v(2), { floats: [0, 0], dims: [2] }, { floats: [1, 1], dims: [2] }],
    batchStatistics: true,
  },
  {
    op: 'BatchNormalization',
    label: 'training, 2-D',
    inputs: [v(6, 3), v(3), v(3), { floats: [0, 0, 0], dims: [3] }, { floats: [1, 1, 1], dims: [3] }],
    batchStatistics: true,
  },
  {
    op: 'LRN',
    label: 'size 5',
    inputs: [v(1, 7, 2, 2)],
    attributes: { size: 5, alpha: { float: 0.5 }, beta: { float: 0.75 }, bias: { float: 1 } },
  },
  {
    op: 'LRN',
    label: 'even size, other power',
    inputs: [v(2, 5, 1, 2)],
    attributes: { size: 4, alpha: { float: 0.8 }, beta: { float: 0.6 }, bias: { float: 2 } },
  },
]

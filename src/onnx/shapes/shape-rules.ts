import type { NodeProto } from '../generated/onnx_pb.js'
import { TensorProto_DataType as DataType } from '../generated/onnx_pb.js'
import { attributeOf, intAttribute, intsAttribute, textAttribute } from '../values.js'
import type { Dim, KnownShapes, ShapeRule, TensorFacts } from './shape-facts.js'
import { reshapeRules } from './shape-rules-layout.js'

type Shape = readonly Dim[]

const same: ShapeRule = (node, known) => node.output.map(() => ({ ...dropInts(known.input(node, 0)) }))

function dropInts({ shape, elemType }: TensorFacts): TensorFacts {
  return { shape, elemType }
}

/** Numpy broadcasting of two shapes; a symbolic size wins over 1 and yields to nothing else. */
export function broadcast(a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (!a || !b) return undefined
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1
    const y = b[i - rank + b.length] ?? 1
    if (x === 1) return y
    if (y === 1) return x
    return typeof x === 'number' ? x : y
  })
}

const intOps: Record<string, (a: number, b: number) => number> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => Math.trunc(a / b),
}

const elementwise: ShapeRule = (node, known) => {
  const inputs = node.input.map((_, i) => known.input(node, i))
  const shape = inputs.map((input) => input.shape).reduce((all, next) => broadcast(all, next))
  const comparison = ['Equal', 'Greater', 'Less', 'GreaterOrEqual', 'LessOrEqual', 'And', 'Or'].includes(node.opType)
  const op = intOps[node.opType]
  const [a, b] = inputs
  let ints: Dim[] | undefined
  if (op && a?.ints && b?.ints) {
    const [left, right] = [a.ints, b.ints]
    ints = Array.from({ length: Math.max(left.length, right.length) }, (_, i) => {
      const x = left[left.length === 1 ? 0 : i]
      const y = right[right.length === 1 ? 0 : i]
      return typeof x === 'number' && typeof y === 'number' ? op(x, y) : known.unknownDim()
    })
  }
  return [{ shape, elemType: comparison ? DataType.BOOL : (a?.elemType ?? 0), ints }]
}

/** Output size along one axis of a convolution or pooling window. */
export function windowSize(
  size: Dim,
  window: {
    kernel: number
    stride: number
    dilation: number
    before: number
    after: number
    ceil: boolean
    auto: string
  },
  unknown: () => string,
): Dim {
  if (typeof size !== 'number') {
    const keeps =
      window.stride === 1 &&
      (window.auto.startsWith('SAME') || window.before + window.after === window.dilation * (window.kernel - 1))
    return keeps ? size : unknown()
  }
  if (window.auto.startsWith('SAME')) return Math.ceil(size / window.stride)
  const effective = window.dilation * (window.kernel - 1) + 1
  const [before, after] = window.auto === 'VALID' ? [0, 0] : [window.before, window.after]
  const steps = (size + before + after - effective) / window.stride
  let out = (window.ceil ? Math.ceil(steps) : Math.floor(steps)) + 1
  // A window that would begin in the padding after the image is not counted.
  if (window.ceil && (out - 1) * window.stride >= size + before) out--
  return Math.max(out, 0)
}

function windowed(node: NodeProto, known: KnownShapes, spatial: Shape, kernel: readonly number[]): Dim[] {
  const rank = spatial.length
  const strides = intsAttribute(node, 'strides') ?? []
  const dilations = intsAttribute(node, 'dilations') ?? []
  const pads = intsAttribute(node, 'pads') ?? []
  const auto = textAttribute(node, 'auto_pad', 'NOTSET')
  return spatial.map((size, i) =>
    windowSize(
      size,
      {
        kernel: kernel[i] ?? 1,
        stride: strides[i] ?? 1,
        dilation: dilations[i] ?? 1,
        before: pads[i] ?? 0,
        after: pads[i + rank] ?? 0,
        ceil: intAttribute(node, 'ceil_mode', 0) === 1,
        auto,
      },
      () => known.unknownDim(),
    ),
  )
}

const conv: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  const weights = known.input(node, 1).shape
  if (!x.shape || !weights) return [{ shape: undefined, elemType: x.elemType }]
  const kernel = intsAttribute(node, 'kernel_shape') ?? weights.slice(2).map((n) => (typeof n === 'number' ? n : 1))
  const spatial = windowed(node, known, x.shape.slice(2), kernel)
  return [{ shape: [x.shape[0] ?? 1, weights[0] ?? 1, ...spatial], elemType: x.elemType }]
}

const pool: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  if (!x.shape) return [dropInts(x)]
  const spatial = windowed(node, known, x.shape.slice(2), intsAttribute(node, 'kernel_shape') ?? [])
  const shape = [...x.shape.slice(0, 2), ...spatial]
  return [
    { shape, elemType: x.elemType },
    { shape, elemType: DataType.INT64 },
  ]
}

const globalPool: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  return [{ shape: x.shape?.map((n, i) => (i < 2 ? n : 1)), elemType: x.elemType }]
}

const gemm: ShapeRule = (node, known) => {
  const a = known.input(node, 0)
  const b = known.input(node, 1)
  if (!a.shape || !b.shape) return [{ shape: undefined, elemType: a.elemType }]
  const rows = a.shape[intAttribute(node, 'transA', 0) === 1 ? 1 : 0] ?? 1
  const columns = b.shape[intAttribute(node, 'transB', 0) === 1 ? 0 : 1] ?? 1
  return [{ shape: [rows, columns], elemType: a.elemType }]
}

const matMul: ShapeRule = (node, known) => {
  const a = known.input(node, 0)
  const b = known.input(node, 1)
  if (!a.shape || !b.shape || a.shape.length < 2 || b.shape.length < 2)
    return [{ shape: undefined, elemType: a.elemType }]
  const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)) ?? []
  return [{ shape: [...batch, a.shape.at(-2) ?? 1, b.shape.at(-1) ?? 1], elemType: a.elemType }]
}

const batchNorm: ShapeRule = (node, known) => [dropInts(known.input(node, 0))]

/** Axes of a reduction: an attribute, or (newer operator sets) a second input. Empty means all. */
const reduce: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  const fromInput = known.input(node, 1).ints
  const axes = intsAttribute(node, 'axes') ?? fromInput?.map(Number)
  const hasAxes = axes !== undefined || !node.input[1]
  if (!x.shape || !hasAxes) return [{ shape: undefined, elemType: x.elemType }]
  const rank = x.shape.length
  if (axes === undefined && intAttribute(node, 'noop_with_empty_axes', 0) === 1) return [dropInts(x)]
  const gone = new Set((axes ?? x.shape.map((_, i) => i)).map((axis) => (axis + rank) % rank))
  const keep = intAttribute(node, 'keepdims', 1) === 1
  const shape = x.shape.flatMap((n, i): Dim[] => (gone.has(i) ? (keep ? [1] : []) : [n]))
  return [{ shape, elemType: x.elemType }]
}

const cast: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  return [{ ...x, elemType: intAttribute(node, 'to', 0) }]
}

const dropout: ShapeRule = (node, known) => {
  const x = dropInts(known.input(node, 0))
  return [x, { shape: x.shape, elemType: DataType.BOOL }]
}

const argMax: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  const rank = x.shape?.length ?? 1
  const axis = (intAttribute(node, 'axis', 0) + rank) % rank
  const keep = intAttribute(node, 'keepdims', 1) === 1
  const shape = x.shape?.flatMap((n, i): Dim[] => (i === axis ? (keep ? [1] : []) : [n]))
  return [{ shape, elemType: DataType.INT64 }]
}

const constantOfShape: ShapeRule = (node, known) => [
  { shape: known.input(node, 0).ints, elemType: attributeOf(node, 'value')?.t?.dataType ?? DataType.FLOAT },
]

const sameOps =
  'Relu LeakyRelu PRelu Elu Selu Celu Sigmoid HardSigmoid HardSwish Mish Gelu Tanh Softplus Softsign ' +
  'ThresholdedRelu Clip Erf Sqrt Exp Log Neg Abs Floor Ceil Round Reciprocal Softmax LogSoftmax Hardmax LRN ' +
  'InstanceNormalization LpNormalization MeanVarianceNormalization Not Sign'
const elementwiseOps = 'Add Sub Mul Div Pow Sum Max Min Mean Equal Greater Less GreaterOrEqual LessOrEqual And Or Mod'
const reduceOps =
  'ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp'

export const shapeRules: ReadonlyMap<string, ShapeRule> = new Map<string, ShapeRule>([
  ...sameOps.split(' ').map((op): [string, ShapeRule] => [op, same]),
  ...elementwiseOps.split(' ').map((op): [string, ShapeRule] => [op, elementwise]),
  ...reduceOps.split(' ').map((op): [string, ShapeRule] => [op, reduce]),
  ['Conv', conv],
  ['MaxPool', pool],
  ['AveragePool', pool],
  ['LpPool', pool],
  ['GlobalAveragePool', globalPool],
  ['GlobalMaxPool', globalPool],
  ['Gemm', gemm],
  ['MatMul', matMul],
  ['BatchNormalization', batchNorm],
  ['Dropout', dropout],
  ['Cast', cast],
  ['ArgMax', argMax],
  ['ArgMin', argMax],
  ['ConstantOfShape', constantOfShape],
  ...reshapeRules,
])

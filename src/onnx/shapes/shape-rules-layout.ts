import type { NodeProto } from '../generated/onnx_pb.js'
import { TensorProto_DataType as DataType } from '../generated/onnx_pb.js'
import { attributeOf, intAttribute, intsAttribute, intsOf } from '../values.js'
import type { Dim, KnownShapes, ShapeRule, TensorFacts } from './shape-facts.js'

const wrap = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis)

const isNumber = (dim: Dim | undefined): dim is number => typeof dim === 'number'

/** Product of sizes: the known part, and the unknown names in order. */
function product(dims: readonly Dim[]): { known: number; names: string[] } {
  const names = dims.filter((dim) => typeof dim === 'string').sort()
  return { known: dims.filter(isNumber).reduce((a, b) => a * b, 1), names }
}

/** `dims` divided by `by`, where that is certain: what -1 in a Reshape stands for. */
function quotient(dims: readonly Dim[], by: readonly Dim[], unknown: () => string): Dim {
  const above = product(dims)
  const below = product(by)
  const names = [...above.names]
  for (const name of below.names) {
    const at = names.indexOf(name)
    if (at < 0) return unknown()
    names.splice(at, 1)
  }
  if (below.known === 0 || above.known % below.known !== 0) return unknown()
  const known = above.known / below.known
  if (names.length === 0) return known
  return names.length === 1 && known === 1 ? names[0]! : unknown()
}

const identity: ShapeRule = (node, known) => [known.input(node, 0)]

const reshape: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  const target: readonly Dim[] | undefined = known.input(node, 1).ints ?? intsAttribute(node, 'shape')
  if (!target) return [{ shape: undefined, elemType: x.elemType }]
  const copyZero = intAttribute(node, 'allowzero', 0) === 0
  const dims = target.map((n, i): Dim => (n === 0 && copyZero ? (x.shape?.[i] ?? known.unknownDim()) : n))
  const rest = dims.filter((n) => n !== -1)
  const shape = dims.map((n) =>
    n === -1 ? (x.shape ? quotient(x.shape, rest, () => known.unknownDim()) : known.unknownDim()) : n,
  )
  return [{ shape, elemType: x.elemType, ints: x.ints }]
}

const flatten: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  if (!x.shape) return [{ shape: undefined, elemType: x.elemType }]
  const axis = wrap(intAttribute(node, 'axis', 1), x.shape.length)
  const part = (dims: readonly Dim[]): Dim => quotient(dims, [], () => known.unknownDim())
  return [{ shape: [part(x.shape.slice(0, axis)), part(x.shape.slice(axis))], elemType: x.elemType }]
}

const concat: ShapeRule = (node, known) => {
  const inputs = node.input.map((_, i) => known.input(node, i))
  const first = inputs.find(({ shape }) => shape)
  const elemType = first?.elemType ?? 0
  if (!first?.shape) return [{ shape: undefined, elemType }]
  const axis = wrap(intAttribute(node, 'axis', 1), first.shape.length)
  const along = inputs.map(({ shape }) => shape?.[axis])
  const total: Dim = along.every(isNumber) ? along.reduce((a, b) => a + b, 0) : known.unknownDim()
  const shape = first.shape.map((n, i) => (i === axis ? total : n))
  const ints = inputs.every((input) => input.ints) ? inputs.flatMap((input) => input.ints ?? []) : undefined
  return [{ shape, elemType, ints }]
}

const transpose: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  const order = intsAttribute(node, 'perm') ?? x.shape?.map((_, i, all) => all.length - 1 - i)
  return [{ shape: x.shape && order ? order.map((i) => x.shape?.[i] ?? 1) : undefined, elemType: x.elemType }]
}

/** Axes as an attribute or, since operator set 13, an input. */
function axesOf(node: NodeProto, known: KnownShapes): readonly number[] | undefined {
  const fromInput = known.input(node, 1).ints
  return intsAttribute(node, 'axes') ?? (fromInput?.every(isNumber) ? fromInput : undefined)
}

const squeeze: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  const axes = axesOf(node, known)
  if (!x.shape || (!axes && node.input[1])) return [{ shape: undefined, elemType: x.elemType }]
  const rank = x.shape.length
  const gone = new Set(axes?.map((axis) => wrap(axis, rank)) ?? x.shape.flatMap((n, i) => (n === 1 ? [i] : [])))
  const shape = x.shape.filter((_, i) => !gone.has(i))
  return [{ shape, elemType: x.elemType, ints: x.ints }]
}

const unsqueeze: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  const axes = axesOf(node, known)
  if (!x.shape || !axes) return [{ shape: undefined, elemType: x.elemType }]
  const rank = x.shape.length + axes.length
  const added = new Set(axes.map((axis) => wrap(axis, rank)))
  const rest = [...x.shape]
  const shape = Array.from({ length: rank }, (_, i): Dim => (added.has(i) ? 1 : (rest.shift() ?? 1)))
  return [{ shape, elemType: x.elemType, ints: x.ints }]
}

const pad: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  const pads = intsAttribute(node, 'pads') ?? known.input(node, 1).ints
  if (!x.shape || !pads || node.input[3]) return [{ shape: undefined, elemType: x.elemType }]
  const rank = x.shape.length
  const shape = x.shape.map((n, i): Dim => {
    const before = pads[i]
    const after = pads[i + rank]
    if (before === 0 && after === 0) return n
    return isNumber(n) && isNumber(before) && isNumber(after) ? n + before + after : known.unknownDim()
  })
  return [{ shape, elemType: x.elemType }]
}

const shapeOf: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  if (!x.shape) return [{ shape: [known.unknownDim()], elemType: DataType.INT64 }]
  const end = attributeOf(node, 'end') ? intAttribute(node, 'end', 0) : x.shape.length
  const ints = x.shape.slice(intAttribute(node, 'start', 0), end)
  return [{ shape: [ints.length], elemType: DataType.INT64, ints }]
}

const gather: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  const at = known.input(node, 1)
  if (!x.shape || !at.shape) return [{ shape: undefined, elemType: x.elemType }]
  const axis = wrap(intAttribute(node, 'axis', 0), x.shape.length)
  const shape = [...x.shape.slice(0, axis), ...at.shape, ...x.shape.slice(axis + 1)]
  const { ints } = x
  const picked =
    ints && axis === 0 ? at.ints?.map((i) => (isNumber(i) ? ints[wrap(i, ints.length)] : undefined)) : undefined
  const whole = picked?.every((n) => n !== undefined) ? (picked as Dim[]) : undefined
  return [{ shape, elemType: x.elemType, ints: whole }]
}

const slice: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  const numbers = (index: number, name: string): readonly number[] | undefined => {
    const fromInput = known.input(node, index).ints
    return intsAttribute(node, name) ?? (fromInput?.every(isNumber) ? fromInput : undefined)
  }
  const starts = numbers(1, 'starts')
  const ends = numbers(2, 'ends')
  if (!x.shape || !starts || !ends) return [{ shape: undefined, elemType: x.elemType }]
  const rank = x.shape.length
  const axes = numbers(3, 'axes') ?? starts.map((_, i) => i)
  const steps = numbers(4, 'steps') ?? starts.map(() => 1)
  const shape = [...x.shape]
  let ints: Dim[] | undefined
  axes.forEach((axis, k) => {
    const at = wrap(axis, rank)
    const size = shape[at]
    const step = steps[k] ?? 1
    const [start = 0, end = 0] = [starts[k], ends[k]]
    if (!isNumber(size)) {
      if (!(start === 0 && step === 1 && end >= 2 ** 31 - 1)) shape[at] = known.unknownDim()
      return
    }
    const clamp = (n: number, low: number, high: number): number => Math.min(Math.max(n < 0 ? n + size : n, low), high)
    const [from, to] =
      step > 0 ? [clamp(start, 0, size), clamp(end, 0, size)] : [clamp(start, 0, size - 1), clamp(end, -1, size - 1)]
    shape[at] = Math.max(0, Math.ceil((to - from) / step))
    if (x.ints && at === 0 && step === 1) ints = x.ints.slice(from, to)
  })
  return [{ shape, elemType: x.elemType, ints }]
}

const split: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  if (!x.shape) return node.output.map(() => ({ shape: undefined, elemType: x.elemType }))
  const axis = wrap(intAttribute(node, 'axis', 0), x.shape.length)
  const size = x.shape[axis]
  const sizes = intsAttribute(node, 'split') ?? known.input(node, 1).ints
  const each = isNumber(size) ? Math.ceil(size / node.output.length) : undefined
  return node.output.map((_, i): TensorFacts => {
    const last = isNumber(size) && each !== undefined ? Math.max(0, size - each * i) : undefined
    const part = sizes?.[i] ?? (each === undefined || last === undefined ? known.unknownDim() : Math.min(each, last))
    return { shape: x.shape?.map((n, k) => (k === axis ? part : n)), elemType: x.elemType }
  })
}

const constant: ShapeRule = (node) => {
  const t = attributeOf(node, 'value')?.t
  if (t) {
    const shape = t.dims.map(Number)
    const integer = t.dataType === DataType.INT64 || t.dataType === DataType.INT32
    return [{ shape, elemType: t.dataType, ints: integer && shape.length <= 1 ? intsOf(t) : undefined }]
  }
  const ints = intsAttribute(node, 'value_ints')
  if (ints) return [{ shape: [ints.length], elemType: DataType.INT64, ints }]
  if (attributeOf(node, 'value_int'))
    return [{ shape: [], elemType: DataType.INT64, ints: [intAttribute(node, 'value_int', 0)] }]
  const floats = attributeOf(node, 'value_floats')
  if (floats) return [{ shape: [floats.floats.length], elemType: DataType.FLOAT }]
  if (attributeOf(node, 'value_float')) return [{ shape: [], elemType: DataType.FLOAT }]
  return [undefined]
}

const expand: ShapeRule = (node, known) => {
  const x = known.input(node, 0)
  const target = known.input(node, 1).ints
  if (!x.shape || !target) return [{ shape: undefined, elemType: x.elemType }]
  const rank = Math.max(x.shape.length, target.length)
  const shape = Array.from({ length: rank }, (_, i): Dim => {
    const own = x.shape?.[i - rank + x.shape.length] ?? 1
    const wanted = target[i - rank + target.length] ?? 1
    return own === 1 ? wanted : own
  })
  return [{ shape, elemType: x.elemType }]
}

export const reshapeRules: readonly [string, ShapeRule][] = [
  ['Identity', identity],
  ['Reshape', reshape],
  ['Flatten', flatten],
  ['Concat', concat],
  ['Transpose', transpose],
  ['Squeeze', squeeze],
  ['Unsqueeze', unsqueeze],
  ['Pad', pad],
  ['Shape', shapeOf],
  ['Gather', gather],
  ['Slice', slice],
  ['Split', split],
  ['Constant', constant],
  ['Expand', expand],
]

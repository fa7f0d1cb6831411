import { Fc7Error } from '../base/errors.js'
import { attribute, tensor } from '../onnx/build.js'
import { withGraph, withModel, withNode } from '../onnx/edit.js'
import type { ModelProto, NodeProto, TensorProto } from '../onnx/generated/onnx_pb.js'
import { attributeOf, intsAttribute } from '../onnx/values.js'
import { graphOf, opsetOf } from '../onnx/walk.js'

/** Training graphs are written in this operator set, or in the network's own where that is newer. */
export const trainingOpset = 17

/**
 * Attributes that later operator sets take as inputs: `[attribute, kind]` in the order of the inputs after the data.
 */
const moved: Readonly<Record<string, readonly (readonly [string, 'ints' | 'float', number])[]>> = {
  // The number is the operator set from which it is an input.
  Squeeze: [['axes', 'ints', 13]],
  Unsqueeze: [['axes', 'ints', 13]],
  ReduceSum: [['axes', 'ints', 13]],
  Split: [['split', 'ints', 13]],
  Dropout: [['ratio', 'float', 12]],
  Pad: [
    ['pads', 'ints', 11],
    ['value', 'float', 11],
  ],
  Clip: [
    ['min', 'float', 11],
    ['max', 'float', 11],
  ],
}

const unable = (node: NodeProto, why: string): Fc7Error =>
  new Fc7Error(
    'TRAIN_OPSET',
    `The ${node.opType} node at ${node.output[0]} cannot be brought to operator set 17: ${why}.`,
    {
      hint: 'Export the network again in operator set 17.',
    },
  )

/**
 * The model in operator set {@link trainingOpset}: what older sets say by attributes is said by inputs. Newer models
 * stay as they are. Only the ops that differ between 7 and 17 and that networks for images have are touched.
 *
 * @throws Fc7Error TRAIN_OPSET for a node whose old meaning has no new form
 */
export function modernise(model: ModelProto): ModelProto {
  const opset = opsetOf(model)
  if (opset >= trainingOpset) return model
  const graph = graphOf(model)
  const added: TensorProto[] = []
  const node = graph.node.map((old): NodeProto => {
    if (old.domain !== '' && old.domain !== 'ai.onnx') return old
    const drop = new Set<string>()
    if (old.opType === 'BatchNormalization' && opset < 9) {
      if (attributeOf(old, 'spatial')?.i === 0n) throw unable(old, 'it normalises every place for itself')
      drop.add('spatial')
    }
    const inputs = [...old.input]
    for (const [i, [name, kind, from]] of (moved[old.opType] ?? []).entries()) {
      const found = attributeOf(old, name)
      if (opset >= from || !found) continue
      const ints = intsAttribute(old, name) ?? []
      const constant = `${old.output[0]}/${name}`
      added.push(
        kind === 'ints'
          ? tensor(constant, 'int64', [ints.length], BigInt64Array.from(ints, BigInt))
          : tensor(constant, 'float32', [], Float32Array.of(found.f)),
      )
      while (inputs.length < i + 1) inputs.push('')
      inputs[i + 1] = constant
      drop.add(name)
    }
    if ((old.opType === 'Softmax' || old.opType === 'LogSoftmax') && opset < 13 && !attributeOf(old, 'axis'))
      return withNode(old, { attribute: [...old.attribute, attribute('axis', 1)] })
    if (drop.size === 0) return old
    return withNode(old, { input: inputs, attribute: old.attribute.filter(({ name }) => !drop.has(name)) })
  })
  const others = model.opsetImport.filter(({ domain }) => domain !== '' && domain !== 'ai.onnx')
  const own = model.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')!
  return withModel(model, {
    irVersion: model.irVersion < 8n ? 8n : model.irVersion,
    opsetImport: [{ ...own, domain: '', version: BigInt(trainingOpset) }, ...others],
    graph: withGraph(graph, { node, initializer: [...graph.initializer, ...added] }),
  })
}

import { Fc7Error } from '../../base/errors.js'
import { readJson } from '../../base/files.js'
import { GraphBuilder } from '../../onnx/build.js'
import { checkModel } from '../../onnx/check.js'
import { withModel } from '../../onnx/edit.js'
import type { ModelProto } from '../../onnx/generated/onnx_pb.js'
import { keepPads } from '../../onnx/pads.js'
import { graphOf } from '../../onnx/walk.js'
import { activationRules } from './activations.js'
import { type LayerRule, refuse, type Value } from './context.js'
import { weightedRules } from './convolutions.js'
import { structureRules } from './structure.js'
import { type KerasLayer, type KerasTopology, parseTfjsModel } from './topology.js'
import { readTfjsWeights, type Weight } from './weights.js'

const rules: ReadonlyMap<string, LayerRule> = new Map([...weightedRules, ...activationRules, ...structureRules])

/** Names of the Keras layers that can be imported. */
export const importableLayers: readonly string[] = ['InputLayer', ...rules.keys()]

/** Operator set of imported models. */
const importOpset = 17

/** The layers in an order in which each comes after its inputs. */
function ordered(topology: KerasTopology): KerasLayer[] {
  const done = new Set<string>()
  const order: KerasLayer[] = []
  let open = [...topology.layers]
  while (open.length > 0) {
    const later: KerasLayer[] = []
    for (const layer of open) {
      if (layer.inputs.every((name) => done.has(name))) {
        done.add(layer.name)
        order.push(layer)
      } else {
        later.push(layer)
      }
    }
    const stuck = later[0]
    if (stuck && later.length === open.length) throw refuse(stuck, 'the layers run in a circle')
    open = later
  }
  return order
}

/**
 * A layer's weight by Keras' name for it. Converters write `conv1/kernel`, and sometimes the layer's name twice or a
 * model's name before it.
 */
function findWeight(weights: ReadonlyMap<string, Weight>, layer: string, name: string): Weight | undefined {
  const exact = weights.get(`${layer}/${name}`)
  if (exact) return exact
  const ending = `/${layer}/${name}`
  const found = [...weights.values()].filter(
    (weight) =>
      weight.name.endsWith(ending) || (weight.name.startsWith(`${layer}/`) && weight.name.endsWith(`/${name}`)),
  )
  return found.length === 1 ? found[0] : undefined
}

function addInput(graph: GraphBuilder, layer: KerasLayer): Value {
  const batchShape = layer.config.batch_input_shape ?? layer.config.batch_shape
  const ok = Array.isArray(batchShape) && batchShape.slice(1).every((n) => n === null || (Number.isInteger(n) && n > 0))
  if (!ok || batchShape.length < 2 || batchShape.length > 4)
    throw refuse(layer, `its shape is ${JSON.stringify(batchShape) ?? 'missing'}`)
  const shape = batchShape.slice(1) as (number | null)[]
  const [height, width, channels] = shape
  const order: [string, number | null | undefined][] =
    shape.length === 3
      ? [
          ['C', channels],
          ['H', height],
          ['W', width],
        ]
      : shape.map((n, i) => [`D${i}`, n])
  graph.input(layer.name, 'float32', ['N', ...order.map(([symbol, n]) => n ?? symbol)])
  return { name: layer.name, shape }
}

/** Builds the ONNX model from topology and weights that are already read. */
export function buildFromKeras(topology: KerasTopology, weights: ReadonlyMap<string, Weight>): ModelProto {
  const graph = new GraphBuilder(topology.name, 'tfjs/')
  const values = new Map<string, Value>()
  for (const layer of ordered(topology)) {
    if (layer.className === 'InputLayer') {
      values.set(layer.name, addInput(graph, layer))
      continue
    }
    const rule = rules.get(layer.className)
    if (!rule) throw refuse(layer, `fc7 does not know layers of the type ${layer.className}`)
    const inputs = layer.inputs.flatMap((name) => values.get(name) ?? [])
    const weight = (name: string): Weight => {
      const found = findWeight(weights, layer.name, name)
      if (found) return found
      throw refuse(layer, `its weight ${name} is missing`)
    }
    const hasWeight = (name: string): boolean => findWeight(weights, layer.name, name) !== undefined
    values.set(layer.name, rule({ layer, inputs, graph, weight, hasWeight }))
  }
  for (const name of topology.outputs) {
    const value = values.get(name)
    if (!value) continue
    const [height, width, channels] = value.shape
    const sizes: [string, number | null | undefined][] =
      value.shape.length === 3
        ? [
            ['C', channels],
            ['outH', height],
            ['outW', width],
          ]
        : value.shape.map((n, i) => [`out${i}`, n])
    graph.output(value.name, 'float32', ['N', ...sizes.map(([symbol, n]) => n ?? symbol)])
  }
  const built = graph.model(importOpset)
  const model = withModel(built, { graph: keepPads(graphOf(built)) })
  checkModel(model, topology.name)
  return model
}

/**
 * Imports a TensorFlow.js layers model (Keras topology and weight shards) as an ONNX model.
 *
 * Images become [N, C, H, W]; every tensor carries its Keras layer's name (`avg_pool`, `fc1000`), and a layer's value
 * before its own activation `<layer>/linear`. Four-dimensional outputs are [N, C, H, W] too. Equal files give equal
 * models.
 *
 * @throws Fc7Error TFJS_BROKEN (no layers model), TFJS_WEIGHTS (shards missing, outside the folder, of another size),
 *   TFJS_UNSUPPORTED naming a layer that fc7 does not know
 * @example const model = await importTfjsLayersModel({ modelJsonPath: 'ResNet50/model.json' })
 */
export async function importTfjsLayersModel(options: { readonly modelJsonPath: string }): Promise<ModelProto> {
  const json = await readJson(options.modelJsonPath, 'The model')
  const { topology, weightsManifest } = parseTfjsModel(json, options.modelJsonPath)
  if (topology.inputs.length === 0 || topology.outputs.length === 0) {
    throw new Fc7Error('TFJS_BROKEN', `${options.modelJsonPath} has no input or no output.`, { hint: 'Is it whole?' })
  }
  const unknown = topology.layers.find((layer) => layer.className !== 'InputLayer' && !rules.has(layer.className))
  // Before gigabytes are read.
  if (unknown) throw refuse(unknown, `fc7 does not know layers of the type ${unknown.className}`)
  const weights = await readTfjsWeights(weightsManifest, options.modelJsonPath)
  return buildFromKeras(topology, weights)
}

import { z } from 'zod'
import { Fc7Error } from '../../base/errors.js'

/** Settings of a Keras layer as the file has them; each layer's rule checks the ones it reads. */
export type KerasConfig = Readonly<Record<string, unknown>>

export interface KerasLayer {
  readonly className: string
  readonly name: string
  readonly config: KerasConfig
  /** Names of the layers it takes its inputs from, in order. */
  readonly inputs: readonly string[]
}

export interface KerasTopology {
  readonly name: string
  /** In the file's order. */
  readonly layers: readonly KerasLayer[]
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
}

export interface WeightEntry {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype: 'float32' | 'int32' | 'uint8' | 'bool' | 'float16'
  readonly quantization?: {
    readonly dtype: 'uint8' | 'uint16' | 'float16'
    readonly scale?: number | undefined
    readonly min?: number | undefined
  }
}

export interface WeightGroup {
  readonly paths: readonly string[]
  readonly weights: readonly WeightEntry[]
}

export interface TfjsModel {
  readonly topology: KerasTopology
  readonly weightsManifest: readonly WeightGroup[]
}

const maxLayers = 10_000
const name = z.string().min(1).max(512)
const config = z.record(z.string(), z.unknown())

const layerSchema = z.object({
  class_name: name,
  name: name.optional(),
  config,
  inbound_nodes: z.array(z.unknown()).optional(),
})

const modelConfigSchema = z.object({
  class_name: name,
  config: z.union([
    z.array(layerSchema).max(maxLayers),
    z.object({
      name: name.optional(),
      layers: z.array(layerSchema).max(maxLayers),
      input_layers: z.unknown().optional(),
      output_layers: z.unknown().optional(),
    }),
  ]),
})

const dims = z.array(z.int().min(0)).max(8)
const manifestSchema = z
  .array(
    z.object({
      paths: z.array(z.string().min(1).max(512)).min(1).max(10_000),
      weights: z
        .array(
          z.object({
            name,
            shape: dims,
            dtype: z.enum(['float32', 'int32', 'uint8', 'bool', 'float16']),
            quantization: z
              .object({
                dtype: z.enum(['uint8', 'uint16', 'float16']),
                scale: z.number().optional(),
                min: z.number().optional(),
              })
              .optional(),
          }),
        )
        .max(100_000),
    }),
  )
  .min(1)

const fileSchema = z.object({
  format: z.string().optional(),
  modelTopology: z.union([modelConfigSchema, z.object({ model_config: modelConfigSchema })]),
  weightsManifest: manifestSchema,
})

function broken(file: string, what: string): Fc7Error {
  return new Fc7Error('TFJS_BROKEN', `${file} is no TensorFlow.js layers model that fc7 can read: ${what}.`, {
    hint: 'fc7 imports models in the "layers-model" format (model.json and weight shards), not graph models.',
  })
}

/** `['conv1', 0, 0]` or a list of such, as Keras lists input and output layers. */
function layerRefs(value: unknown, file: string): string[] {
  const one = z.tuple([name, z.number(), z.number()]).rest(z.unknown())
  const single = one.safeParse(value)
  if (single.success) return [single.data[0]]
  const many = z.array(one).safeParse(value)
  if (!many.success) throw broken(file, 'its input or output layers are not named')
  return many.data.map(([layer]) => layer)
}

/**
 * Where a layer's inputs come from: `[[["conv1", 0, 0, {}], …]]`. Keras 3 files, which write tensors instead, are
 * refused.
 */
function inboundOf(layer: z.infer<typeof layerSchema>, file: string): string[] {
  const nodes = layer.inbound_nodes ?? []
  if (nodes.length === 0) return []
  const label = layer.name ?? layer.class_name
  if (nodes.length > 1) throw broken(file, `the layer ${label} is used ${nodes.length} times`)
  const node = nodes[0]
  if (!Array.isArray(node)) throw broken(file, `the inputs of the layer ${label} are written in a form of Keras 3`)
  // A node with one input may be written without its inner list.
  return layerRefs(typeof node[0] === 'string' ? [node] : node, file)
}

/**
 * Reads the text of a `model.json`: the layers in one form, whether the file holds a Sequential or a Functional model.
 *
 * @throws Fc7Error TFJS_BROKEN
 */
export function parseTfjsModel(json: unknown, file: string): TfjsModel {
  if (
    typeof json === 'object' &&
    json !== null &&
    (json as { format?: unknown | undefined }).format === 'graph-model'
  ) {
    throw broken(file, 'it is a graph model')
  }
  const parsed = fileSchema.safeParse(json)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw broken(file, `${issue?.path.join('.') || 'model.json'}: ${issue?.message ?? 'unexpected'}`)
  }
  const topology = parsed.data.modelTopology
  const model = 'model_config' in topology ? topology.model_config : topology
  const body = Array.isArray(model.config) ? { layers: model.config } : model.config
  const named = body.layers.map((layer, i) => {
    const own = layer.name ?? layer.config.name
    return { layer, name: typeof own === 'string' && own !== '' ? own : `layer_${i}` }
  })
  if (new Set(named.map((entry) => entry.name)).size !== named.length)
    throw broken(file, 'two layers have the same name')
  const manifest = parsed.data.weightsManifest as unknown as WeightGroup[]
  if (model.class_name === 'Sequential') {
    return { topology: sequential(body.layers, named, file), weightsManifest: manifest }
  }
  if (model.class_name !== 'Model' && model.class_name !== 'Functional')
    throw broken(file, `it is a ${model.class_name}`)
  const functional = body as {
    input_layers?: unknown | undefined
    output_layers?: unknown | undefined
    name?: string | undefined
  }
  const layers = named.map(({ layer, name: own }) => ({
    className: layer.class_name,
    name: own,
    config: layer.config,
    inputs: inboundOf(layer, file),
  }))
  const known = new Set(layers.map((layer) => layer.name))
  const [inputs, outputs] = [layerRefs(functional.input_layers, file), layerRefs(functional.output_layers, file)]
  for (const ref of [...layers.flatMap((layer) => layer.inputs), ...inputs, ...outputs]) {
    if (!known.has(ref)) throw broken(file, `it refers to the layer ${ref}, which is not there`)
  }
  return {
    topology: { name: functional.name ?? 'model', layers, inputs, outputs },
    weightsManifest: manifest,
  }
}

function sequential(
  layers: readonly z.infer<typeof layerSchema>[],
  named: readonly { layer: z.infer<typeof layerSchema>; name: string }[],
  file: string,
): KerasTopology {
  const chain: KerasLayer[] = []
  if (layers[0]?.class_name !== 'InputLayer') {
    const shape = layers[0]?.config.batch_input_shape
    if (!Array.isArray(shape)) throw broken(file, 'its first layer tells no input shape')
    chain.push({ className: 'InputLayer', name: 'input', config: { batch_input_shape: shape }, inputs: [] })
  }
  for (const { layer, name: own } of named) {
    const before = chain.at(-1)
    chain.push({ className: layer.class_name, name: own, config: layer.config, inputs: before ? [before.name] : [] })
  }
  const [first, last] = [chain[0], chain.at(-1)]
  return { name: 'sequential', layers: chain, inputs: first ? [first.name] : [], outputs: last ? [last.name] : [] }
}

import type { FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { create, toBinary } from '@bufbuild/protobuf'
import { writeFileWith } from '../base/files.js'
import {
  type GraphProto,
  GraphProtoSchema,
  TensorProto_DataLocation as Location,
  type ModelProto,
  ModelProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from './generated/onnx_pb.js'
import { graphOf } from './walk.js'

/** Weights from this size on are written straight from where they lie; smaller ones go through the encoder. */
const directBytes = 4096
/** Data files begin each tensor on a page, so that a runtime may map it. */
const alignmentBytes = 4096

/**
 * A data file that several models share: where in it each large weight lies, by the very array that holds the weight.
 */
export interface SharedWeights {
  /** Name of the data file, which stands in the same folder as the models. */
  readonly name: string
  readonly places: ReadonlyMap<Uint8Array, number>
  /** What the file holds, in order, from its first byte. */
  readonly parts: readonly Uint8Array[]
  readonly bytes: number
}

export interface WriteModelOptions {
  /**
   * Where weights go: `auto` keeps them inside the ONNX file while it stays below `maxInlineBytes`, else moves them
   * into `<file>.data` beside it; `external` always moves them. Weights of a shared file become references to it; the
   * caller writes that file, with {@link writeSharedWeights}.
   */
  readonly weights?: 'auto' | 'external' | SharedWeights | undefined
  /** Default: 2 GiB less one MiB, the end of protocol buffers. */
  readonly maxInlineBytes?: number | undefined
}

function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  while (rest >= 128) {
    bytes.push((rest % 128) | 128)
    rest = Math.floor(rest / 128)
  }
  bytes.push(rest)
  return Uint8Array.from(bytes)
}

/** Key and length of a length-delimited field, as the wire format has it. */
function fieldHead(field: number, length: number): Uint8Array {
  return Uint8Array.from([...varint(field * 8 + 2), ...varint(length)])
}

const sizeOf = (parts: readonly Uint8Array[]): number => parts.reduce((sum, part) => sum + part.length, 0)

function shallow<T extends object>(message: T): Omit<T, '$typeName'> {
  const { $typeName: _, ...fields } = message as T & { $typeName?: string }
  return fields as Omit<T, '$typeName'>
}

const isDirect = (tensor: TensorProto): boolean => tensor.rawData.length >= directBytes

/**
 * The wire form of a model in parts, large weights being the very arrays that the model holds. Field numbers are
 * onnx.proto's.
 */
function partsOf(model: ModelProto, graph: GraphProto): Uint8Array[] {
  const graphRest = create(GraphProtoSchema, {
    ...shallow(graph),
    initializer: graph.initializer.filter((tensor) => !isDirect(tensor)),
  })
  const graphParts: Uint8Array[] = [toBinary(GraphProtoSchema, graphRest)]
  for (const tensor of graph.initializer.filter(isDirect)) {
    const rest = toBinary(
      TensorProtoSchema,
      create(TensorProtoSchema, { ...shallow(tensor), rawData: new Uint8Array() }),
    )
    const rawHead = fieldHead(9, tensor.rawData.length)
    const tensorBytes = rest.length + rawHead.length + tensor.rawData.length
    graphParts.push(fieldHead(5, tensorBytes), rest, rawHead, tensor.rawData)
  }
  const { graph: _, ...modelRest } = shallow(model) as Omit<ModelProto, '$typeName'>
  const head = toBinary(ModelProtoSchema, create(ModelProtoSchema, modelRest))
  return [head, fieldHead(7, sizeOf(graphParts)), ...graphParts]
}

async function writeParts(handle: FileHandle, parts: readonly Uint8Array[]): Promise<void> {
  for (const part of parts) {
    // One write call takes at most 2 GiB.
    for (let done = 0; done < part.length; ) {
      const { bytesWritten } = await handle.write(part, done, Math.min(part.length - done, 1 << 30))
      done += bytesWritten
    }
  }
}

/** Where each large tensor's bytes go in a data file, every one beginning on a page. */
export function shareWeights(tensors: readonly TensorProto[], name: string): SharedWeights {
  const places = new Map<Uint8Array, number>()
  const parts: Uint8Array[] = []
  let offset = 0
  for (const { rawData } of tensors.filter(isDirect)) {
    if (places.has(rawData)) continue
    const gap = (alignmentBytes - (offset % alignmentBytes)) % alignmentBytes
    places.set(rawData, offset + gap)
    parts.push(new Uint8Array(gap), rawData)
    offset += gap + rawData.length
  }
  return { name, places, parts, bytes: offset }
}

/** Writes the data file of {@link shareWeights}, whole or not at all, from where the weights lie. */
export async function writeSharedWeights(shared: SharedWeights, folder: string): Promise<string> {
  const path = join(folder, shared.name)
  await writeFileWith(path, (handle) => writeParts(handle, shared.parts))
  return path
}

/** The graph with those of its weights that lie in the shared file as references into it. */
function withReferences(graph: GraphProto, { name, places }: SharedWeights): GraphProto {
  const initializer = graph.initializer.map((tensor) => {
    const start = places.get(tensor.rawData)
    if (start === undefined) return tensor
    return create(TensorProtoSchema, {
      ...shallow(tensor),
      rawData: new Uint8Array(),
      dataLocation: Location.EXTERNAL,
      externalData: [
        { key: 'location', value: name },
        { key: 'offset', value: String(start) },
        { key: 'length', value: String(tensor.rawData.length) },
      ],
    })
  })
  return create(GraphProtoSchema, { ...shallow(graph), initializer })
}

/**
 * Writes a model under a temporary name and renames it when it is whole. Weights are written from where they lie,
 * without a copy. A model above 2 GiB keeps its weights in `<file>.data`, which is renamed into place before the model
 * itself. Equal models give equal bytes.
 *
 * @returns the files written, the model first
 */
export async function writeModel(model: ModelProto, path: string, options: WriteModelOptions = {}): Promise<string[]> {
  const { weights = 'auto', maxInlineBytes = 2 ** 31 - 2 ** 20 } = options
  const graph = graphOf(model)
  if (typeof weights !== 'string') {
    const parts = partsOf(model, withReferences(graph, weights))
    await writeFileWith(path, (handle) => writeParts(handle, parts))
    return [path]
  }
  const parts = partsOf(model, graph)
  if (weights !== 'external' && sizeOf(parts) <= maxInlineBytes) {
    await writeFileWith(path, (handle) => writeParts(handle, parts))
    return [path]
  }
  const own = shareWeights(graph.initializer, `${basename(path)}.data`)
  const dataPath = await writeSharedWeights(own, dirname(path))
  const rest = partsOf(model, withReferences(graph, own))
  await writeFileWith(path, (handle) => writeParts(handle, rest))
  return [path, dataPath]
}

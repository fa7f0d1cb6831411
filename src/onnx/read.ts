import { readFile, stat } from 'node:fs/promises'
import { fromBinary } from '@bufbuild/protobuf'
import { Fc7Error, messageOf } from '../base/errors.js'
import { checkModel } from './check.js'
import { resolveExternalData } from './external.js'
import { type ModelProto, ModelProtoSchema } from './generated/onnx_pb.js'

/** Protocol buffers end at 2 GiB; larger models keep their weights in a data file beside them. */
export const maxModelFileBytes = 2 ** 31 - 1

/**
 * Decodes a model. Weights are views of `bytes`, not copies: keep `bytes` unchanged while the model lives.
 *
 * @throws Fc7Error ONNX_BROKEN when the bytes are no ONNX model, or what {@link checkModel} throws
 */
export function decodeModel(bytes: Uint8Array, file = 'The ONNX model'): ModelProto {
  let model: ModelProto
  try {
    model = fromBinary(ModelProtoSchema, bytes)
  } catch (error) {
    throw new Fc7Error('ONNX_BROKEN', `${file} is no ONNX model, or is cut short: ${messageOf(error)}.`, {
      hint: 'Fetch the file again, and compare its sha256 if you know it.',
      cause: error,
    })
  }
  if (!model.graph) {
    throw new Fc7Error('ONNX_BROKEN', `${file} holds no ONNX graph.`, { hint: 'Is it an ONNX file, and whole?' })
  }
  checkModel(model, file)
  return model
}

/**
 * Reads and decodes an ONNX file without its external data: tensors that lie in other files stay references.
 *
 * @throws Fc7Error FILE_UNREADABLE, ONNX_BROKEN, ONNX_…
 */
export async function readModelBare(path: string): Promise<ModelProto> {
  return decodeModel(await readBytes(path), path)
}

/**
 * Reads an ONNX file, its external data included, and checks it (see {@link checkModel}). The file is read once and the
 * weights are views of what was read.
 *
 * @throws Fc7Error FILE_UNREADABLE, ONNX_BROKEN, ONNX_EXTERNAL…, ONNX_…
 */
export async function readModel(path: string): Promise<ModelProto> {
  const model = await readModelBare(path)
  await resolveExternalData(model, path)
  return model
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path)
    if (size > maxModelFileBytes) {
      throw new Fc7Error('ONNX_TOO_LARGE', `${path} has ${size} bytes; an ONNX file ends at 2 GiB.`, {
        hint: 'Larger models keep their weights as external data beside the ONNX file.',
      })
    }
    return await readFile(path)
  } catch (error) {
    if (error instanceof Fc7Error) throw error
    throw new Fc7Error('FILE_UNREADABLE', `The model ${path} cannot be read: ${messageOf(error)}.`, {
      hint: 'Check the path; `fc7 models list` shows the networks that fc7 knows by name.',
      cause: error,
    })
  }
}

import { open, realpath } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, sep } from 'node:path'
import { Fc7Error, messageOf } from '../base/errors.js'
import { TensorProto_DataLocation as Location, type ModelProto, type TensorProto } from './generated/onnx_pb.js'
import { expectedBytes } from './values.js'
import { allTensors } from './walk.js'

function wholeNumber(text: string | undefined, what: string, tensor: TensorProto): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(value)) return value
  throw new Fc7Error('ONNX_EXTERNAL', `The external data of ${tensor.name} has the impossible ${what} "${text}".`, {
    hint: 'The ONNX file is broken; export or fetch it again.',
  })
}

/** The real path of a data file, which must lie in `folder` (a real path) whatever links stand in between. */
async function insideFolder(folder: string, location: string, tensor: TensorProto): Promise<string> {
  const outside = new Fc7Error(
    'ONNX_EXTERNAL_OUTSIDE',
    `The tensor ${tensor.name} keeps its data at "${location}", which is outside the model's folder.`,
    { hint: 'fc7 reads external data only from the folder that holds the ONNX file. Do not trust this file.' },
  )
  if (location === '' || isAbsolute(location) || /^[a-z]:/i.test(location) || location.includes('\0')) throw outside
  let path: string
  try {
    path = await realpath(join(folder, location))
  } catch (error) {
    // Whether something exists outside is not said either.
    if (location.split(/[\\/]/).includes('..')) throw outside
    throw new Fc7Error('ONNX_EXTERNAL', `The data file "${location}" of the tensor ${tensor.name} is missing.`, {
      hint: 'It belongs beside the ONNX file, under exactly this name.',
      cause: error,
    })
  }
  const way = relative(folder, path)
  if (way === '' || way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way)) throw outside
  return path
}

/** A file beside the model that holds weights: the name that the model gives it, and its real path. */
export interface ExternalFile {
  readonly location: string
  readonly path: string
}

/**
 * The files outside the ONNX file that a model's tensors (subgraphs' too) lie in, each once, sorted by name.
 *
 * @throws Fc7Error ONNX_EXTERNAL_OUTSIDE, ONNX_EXTERNAL (a file is missing)
 */
export async function externalFiles(model: ModelProto, modelPath: string): Promise<ExternalFile[]> {
  const found = new Map<string, ExternalFile>()
  for (const tensor of allTensors(model)) {
    if (tensor.dataLocation !== Location.EXTERNAL) continue
    const location = tensor.externalData.find(({ key }) => key === 'location')?.value ?? ''
    if (found.has(location)) continue
    found.set(location, { location, path: await insideFolder(await realpath(dirname(modelPath)), location, tensor) })
  }
  return [...found.values()].sort((a, b) => (a.location < b.location ? -1 : 1))
}

/**
 * Reads every externally stored tensor (subgraphs' and attributes' too) into the model, so that it stands alone. Each
 * tensor's bytes are read once, straight into the buffer that `rawData` then is.
 *
 * @throws Fc7Error ONNX_EXTERNAL_OUTSIDE, ONNX_EXTERNAL (missing file, range outside it, length that does not fit the
 * shape)
 */
export async function resolveExternalData(model: ModelProto, modelPath: string): Promise<void> {
  const files = new Map<string, Awaited<ReturnType<typeof open>>>()
  try {
    for (const tensor of allTensors(model)) {
      if (tensor.dataLocation !== Location.EXTERNAL) continue
      const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]))
      const folder = await realpath(dirname(modelPath))
      const path = await insideFolder(folder, entries.get('location') ?? '', tensor)
      let file = files.get(path)
      if (!file) {
        file = await open(path, 'r')
        files.set(path, file)
      }
      const stat = await file.stat()
      const offset = wholeNumber(entries.get('offset'), 'offset', tensor) ?? 0
      const length = wholeNumber(entries.get('length'), 'length', tensor) ?? stat.size - offset
      const expected = expectedBytes(tensor)
      if (
        !stat.isFile() ||
        length < 0 ||
        offset + length > stat.size ||
        (expected !== undefined && length !== expected)
      ) {
        throw new Fc7Error(
          'ONNX_EXTERNAL',
          `The external data of ${tensor.name} (bytes ${offset} to ${offset + length}) does not fit its file of ` +
            `${stat.size} bytes or its shape.`,
          { hint: 'The data file is cut short or belongs to another model; fetch both again.' },
        )
      }
      const bytes = new Uint8Array(length)
      for (let done = 0; done < length; ) {
        const { bytesRead } = await file.read(bytes, done, Math.min(length - done, 1 << 30), offset + done)
        if (bytesRead === 0) throw new Error(`${path} ended while it was read`)
        done += bytesRead
      }
      tensor.rawData = bytes
      tensor.dataLocation = Location.DEFAULT
      tensor.externalData = []
    }
  } catch (error) {
    if (error instanceof Fc7Error) throw error
    throw new Fc7Error('ONNX_EXTERNAL', `External data of ${modelPath} cannot be read: ${messageOf(error)}.`, {
      hint: 'Check the data file beside the ONNX file.',
      cause: error,
    })
  } finally {
    for (const file of files.values()) await file.close()
  }
}

import { sha256, sha256File } from '../base/files.js'
import { externalFiles } from '../onnx/external.js'
import { readModelBare } from '../onnx/read.js'

/**
 * What a model file is known by: its sha256. A model that keeps weights in files beside it is known by all of them
 * together, because the same graph with other weights is another backbone.
 *
 * @throws Fc7Error FILE_UNREADABLE, ONNX_… of a file that is no model, ONNX_EXTERNAL… of its data files
 */
export async function identityOf(path: string): Promise<string> {
  const own = await sha256File(path)
  const files = await externalFiles(await readModelBare(path), path)
  if (files.length === 0) return own
  const all = await Promise.all(files.map(async (file) => [file.location, await sha256File(file.path)]))
  return sha256(JSON.stringify([own, ...all]))
}

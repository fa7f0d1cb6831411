import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { readNote, sha256File, writeJsonAtomic } from '../base/files.js'
import { shareWeights, writeModel, writeSharedWeights } from '../onnx/write.js'
import type { Extraction } from './extraction.js'

const noteSchema = z.object({ sha256: z.string(), bytes: z.number() })

/** Whether the file stands there as the note beside it says: same size, same sha256. */
async function isWhole(path: string): Promise<boolean> {
  const note = await readNote(`${path}.json`, noteSchema)
  if (!note) return false
  const standing = await stat(path).catch(() => undefined)
  return standing?.size === note.bytes && (await sha256File(path)) === note.sha256
}

async function note(path: string): Promise<void> {
  const { size } = await stat(path)
  await writeJsonAtomic(`${path}.json`, { sha256: await sha256File(path), bytes: size })
}

/**
 * The extraction graph as a file in `folder`: what runs is always a file that fc7 wrote. The backbone's weights lie
 * beside it in `<weights>.weights`, once for all graphs of that backbone, however many layers and recipes they are made
 * for. What is there whole is used again; two processes that write at once write the same bytes.
 *
 * @param names `graph`: tells this graph from others; `weights`: tells this backbone from others
 * @returns the graph's path
 * @throws Fc7Error WRITE_…
 */
export async function extractionGraphFile(
  extraction: Pick<Extraction, 'model' | 'stored'>,
  folder: string,
  names: { readonly graph: string; readonly weights: string },
): Promise<string> {
  const path = join(folder, `${names.graph}.onnx`)
  const weights = join(folder, `${names.weights}.weights`)
  const [hasGraph, hasWeights] = [await isWhole(path), await isWhole(weights)]
  if (hasGraph && hasWeights) return path
  const shared = shareWeights(extraction.stored, `${names.weights}.weights`)
  if (!hasWeights) {
    await writeSharedWeights(shared, folder)
    await note(weights)
  }
  if (!hasGraph) {
    await writeModel(extraction.model, path, { weights: shared })
    await note(path)
  }
  return path
}

import { z } from 'zod'
import { Fc7Error } from '../../base/errors.js'
import { readIfPresent, sha256 } from '../../base/files.js'
import type { Box } from '../../datasets/contract.js'
import { datasetOptions, openDataset } from '../../datasets/open.js'
import { readImage } from '../../datasets/read.js'
import { runPath } from '../store/layout.js'

const sourceSchema = z.object({
  path: z.string(),
  layout: z.enum(['labels', 'splits']).optional(),
  groupFrom: z.string().optional(),
  allowOutside: z.boolean().optional(),
})
const runSchema = z.object({ source: sourceSchema })

/** Where a store's images were read from, and how. */
export type StoreSource = z.infer<typeof sourceSchema>

/** The source that the last run wrote into run.jsonl, or undefined where none did. */
export async function sourceOf(store: string): Promise<StoreSource | undefined> {
  const lines = (await readIfPresent(runPath(store)))?.toString('utf8').split('\n') ?? []
  for (const line of lines.reverse()) {
    try {
      const parsed = runSchema.safeParse(JSON.parse(line))
      if (parsed.success) return parsed.data.source
    } catch {
      // A run that was killed while it wrote leaves half a line.
    }
  }
  return undefined
}

/** An image as it lies in the source. */
export interface SourceImage {
  readonly id: string
  readonly bytes: Uint8Array
  readonly box?: Box | undefined
}

/**
 * The wanted images that are still where a store was made from, in the source's order. A store that came from elsewhere
 * could name any folder of this machine: only bytes whose sha256 is the one in the store are handed out. What is
 * missing, unreadable or changed is left out.
 *
 * @param wanted sha256 (lower-case hex) of the image's bytes by id
 * @throws Fc7Error of the data set when it cannot be opened any more; INTERRUPTED
 */
export async function* sourceImages(
  source: StoreSource,
  wanted: ReadonlyMap<string, string>,
  signal?: AbortSignal | undefined,
): AsyncGenerator<SourceImage> {
  const dataset = await openDataset(source.path, datasetOptions(source))
  let left = wanted.size
  if (left === 0) return
  for await (const { id, load, box } of dataset.items(signal)) {
    const expected = wanted.get(id)
    if (expected === undefined) continue
    const bytes = await readImage(load).catch((error: unknown) => {
      if (error instanceof Fc7Error) return undefined
      throw error
    })
    if (bytes !== undefined && sha256(bytes) === expected) yield { id, bytes, box }
    if (--left === 0) return
  }
}

import { Fc7Error, InterruptedError } from '../../base/errors.js'
import { type StoreSource, sourceImages } from '../../embeddings/extract/source-images.js'
import { makePreview } from '../../images/decode/preview.js'

/** Large enough for the largest box in the page, small enough for 300 of them. */
const previewSidePixels = 176
const previewQuality = 55
/** Images decoded at once. */
const together = 4

/**
 * Reads larger images from where a store was made from. What is gone, changed or damaged since is left out.
 *
 * @param hashes sha256 of each image's bytes by id, from the store
 */
export function imagesFromSource(
  source: StoreSource,
  hashes: ReadonlyMap<string, string>,
  orient: boolean,
): (ids: readonly string[], signal?: AbortSignal) => Promise<Map<string, Uint8Array>> {
  return async (ids, signal) => {
    const made = new Map<string, Uint8Array>()
    const wanted = new Map(ids.flatMap((id) => (hashes.has(id) ? [[id, hashes.get(id)!] as const] : [])))
    const running = new Set<Promise<void>>()
    try {
      for await (const { id, bytes, box } of sourceImages(source, wanted, signal)) {
        const one = makePreview(bytes, {
          sidePixels: previewSidePixels,
          quality: previewQuality,
          orient,
          box,
        })
          .then((webp) => void made.set(id, webp))
          .catch(leaveOut)
          .finally(() => running.delete(one))
        running.add(one)
        if (running.size >= together) await Promise.race(running)
      }
    } catch (error) {
      // A source that cannot be opened any more costs the larger images, not the report.
      leaveOut(error)
    }
    await Promise.all(running)
    return made
  }
}

function leaveOut(error: unknown): void {
  if (error instanceof InterruptedError || !(error instanceof Fc7Error)) throw error
}

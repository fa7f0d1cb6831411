import { Fc7Error, messageOf } from '../../base/errors.js'
import type { DatasetItem, ItemLoad } from '../../datasets/contract.js'
import { readImage } from '../../datasets/read.js'
import { DecodePool, type DecodeResult, type DecodeSettings, type DecodeTask } from '../../images/pool/decode-pool.js'
import type { Decoded, Decoder, ExtractionItem, Pose } from '../store/job.js'
import { Slots } from './pipeline/slots.js'

/** A data set's item as the extraction knows it. */
export const extractionItem = (item: DatasetItem): ExtractionItem<DatasetItem> => ({
  id: item.id,
  path: item.path,
  label: item.label ?? null,
  split: item.split ?? null,
  group: item.group ?? null,
  source: item,
})

/** Images whose bytes only this thread can get (Parquet cells), in memory at once: each may have 64 MiB. */
const heldImages = 4

/** Decodes a data set's items on threads of their own; `close` ends them. */
export class ImageDecoder implements Decoder<DatasetItem> {
  readonly #pool: DecodePool
  readonly #held = new Slots(Array.from({ length: heldImages }, (_, i) => i))

  constructor(settings: DecodeSettings & { readonly threads: number }) {
    this.#pool = new DecodePool({ ...settings, hash: true })
  }

  async decode(item: DatasetItem, buffer: SharedArrayBuffer, byteOffset: number, pose?: Pose): Promise<Decoded> {
    const { load } = item
    if (load.kind === 'broken') return { ok: false, code: load.code, message: load.message }
    const common: DecodeTask = {
      ...pose,
      key: pose && item.id,
      name: item.path,
      slot: { buffer, byteOffset },
      box: item.box,
    }
    try {
      const result =
        load.kind === 'bytes'
          ? await this.#decodeHeld(load, common)
          : await this.#pool.submit(
              load.kind === 'file'
                ? { ...common, path: load.path }
                : { ...common, path: load.path, range: { offset: load.offset, length: load.length } },
            )
      if (!result.ok) {
        // A pool that stops or cannot start says nothing about the image.
        if (result.code === 'INTERRUPTED' || result.code === 'DECODE_WORKER_FAILED')
          throw new Fc7Error(result.code, result.message, { hint: result.hint })
        return { ok: false, code: result.code, message: result.message }
      }
      return {
        ok: true,
        sha256: result.sha256 ?? '',
        webp: result.thumbnail,
        dHash: result.dHash,
      }
    } catch (error) {
      if (error instanceof Fc7Error && (error.code === 'INTERRUPTED' || error.code.startsWith('DECODE_'))) throw error
      return { ok: false, code: error instanceof Fc7Error ? error.code : 'IMAGE_UNREADABLE', message: messageOf(error) }
    }
  }

  get threads(): number {
    return this.#pool.threads
  }

  /** One more decoding thread. */
  addThread(): void {
    this.#pool.addThread()
  }

  async #decodeHeld(load: ItemLoad & { kind: 'bytes' }, task: DecodeTask): Promise<DecodeResult> {
    return this.#held.with(async () => this.#pool.submit({ ...task, bytes: await readImage(load) }))
  }

  close(): Promise<void> {
    return this.#pool.close()
  }
}

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { throwIfAborted } from '../../base/errors.js'
import { readIfPresent, readNote, sha256, writeFileAtomic, writeJsonAtomic } from '../../base/files.js'
import type { Progress } from '../../base/progress.js'
import { InferenceWorker } from '../../runtime/inference.js'
import type { Images, Rows } from './images.js'

const rowsPerPart = 128
const rowsPerRun = 8

const noteSchema = z.strictObject({
  format: z.literal(1),
  key: z.string(),
  rows: z.int(),
  values: z.int(),
  sha256: z.string(),
  ok: z.array(z.number()),
  hashes: z.array(z.tuple([z.string(), z.string()])),
})

/** Rows of a set that lie in one file. */
interface Part {
  readonly values: Float32Array
  readonly ok: readonly number[]
}

/** One image's activations at the boundary, in one view; undefined is the image by its recipe. */
export interface FrozenSet {
  readonly images: readonly number[]
  readonly view: number | undefined
}

/** Place of each image among a set's rows, and the rows. */
interface ReadySet {
  readonly places: ReadonlyMap<number, number>
  readonly parts: readonly Part[]
}

export interface FrozenOptions {
  readonly folder: string
  readonly key: string
  readonly sets: readonly FrozenSet[]
  /** Of one row. */
  readonly values: number
  /** Written on demand: a cache that is whole needs no graph. */
  readonly graphFile: () => Promise<string>
  readonly images: Images
  readonly size: { readonly width: number; readonly height: number }
  readonly threads: number
  readonly progress: Progress
  readonly signal?: AbortSignal | undefined
}

/**
 * Activations of the frozen layers at their boundary, computed once: `<folder>/<set>-<part>.f32` (float32, little
 * endian, rows one after the other) with a note beside it that makes the part done. What is there and belongs to the
 * same key is not computed again.
 */
export class FrozenActivations {
  readonly #sets: readonly ReadySet[]
  readonly #values: number

  private constructor(sets: readonly ReadySet[], values: number) {
    this.#sets = sets
    this.#values = values
  }

  static async make(options: FrozenOptions): Promise<FrozenActivations> {
    const { folder, sets, values, progress } = options
    await mkdir(folder, { recursive: true })
    const total = sets.reduce((sum, set) => sum + set.images.length, 0)
    const task = progress.task({ label: 'Frozen layers', total, unit: 'images' })
    const cache = new PartCache(options)
    let done = 0
    const ready: ReadySet[] = []
    try {
      for (const [number, { images, view }] of sets.entries()) {
        const parts: Part[] = []
        for (let from = 0; from < images.length; from += rowsPerPart) {
          const wanted = images.slice(from, from + rowsPerPart)
          parts.push(await cache.part(join(folder, `${number}-${from / rowsPerPart}.f32`), { images: wanted, view }))
          done += wanted.length
          task.update(done)
        }
        ready.push({ places: new Map(images.map((index, place) => [index, place])), parts })
      }
    } finally {
      await cache.close()
      task.end()
    }
    return new FrozenActivations(ready, values)
  }

  /** Rows of a set in any order. */
  rows(set: number, wanted: readonly number[]): Rows & { readonly data: ArrayBuffer } {
    const data = new Float32Array(wanted.length * this.#values)
    const ok = new Float32Array(wanted.length)
    const { places, parts } = this.#sets[set]!
    wanted.forEach((index, row) => {
      const place = places.get(index)!
      const part = parts[Math.floor(place / rowsPerPart)]!
      const at = place % rowsPerPart
      data.set(part.values.subarray(at * this.#values, (at + 1) * this.#values), row * this.#values)
      ok[row] = part.ok[at]!
    })
    return { data: data.buffer, ok }
  }
}

/** Parts on disk: read where they are whole, computed and written where not. */
class PartCache {
  readonly #options: FrozenOptions
  #worker: InferenceWorker | undefined

  constructor(options: FrozenOptions) {
    this.#options = options
  }

  async part(path: string, set: FrozenSet): Promise<Part> {
    const key = sha256(JSON.stringify([this.#options.key, set.view ?? null, set.images]))
    const known = await this.#read(path, key, set.images.length)
    if (known) return known
    const part = await this.#compute(set)
    await this.#write(path, key, set, part)
    return part
  }

  async close(): Promise<void> {
    await this.#worker?.close()
  }

  async #read(path: string, key: string, rows: number): Promise<Part | undefined> {
    const { values, images } = this.#options
    const note = await readNote(`${path}.json`, noteSchema)
    if (note?.key !== key || note.rows !== rows || note.values !== values) return undefined
    const bytes = await readIfPresent(path)
    if (!bytes || bytes.length !== rows * values * 4 || sha256(bytes) !== note.sha256) return undefined
    for (const [id, hash] of note.hashes) images.hashes.set(id, hash)
    return { values: new Float32Array(new Uint8Array(bytes).buffer), ok: note.ok }
  }

  async #write(path: string, key: string, set: FrozenSet, part: Part): Promise<void> {
    const { values, images } = this.#options
    const bytes = new Uint8Array(part.values.buffer)
    await writeFileAtomic(path, bytes)
    const hashes = set.images.flatMap((index) => {
      const { id } = images.items[index]!
      return images.hashes.has(id) ? [[id, images.hashes.get(id)!]] : []
    })
    const rows = set.images.length
    await writeJsonAtomic(`${path}.json`, { format: 1, key, rows, values, sha256: sha256(bytes), ok: part.ok, hashes })
  }

  async #compute({ images: wanted, view }: FrozenSet): Promise<Part> {
    const { graphFile, threads, values, images, size, signal } = this.#options
    this.#worker ??= await InferenceWorker.open(await graphFile(), { threads })
    const all = new Float32Array(wanted.length * values)
    const ok: number[] = []
    const decode = (from: number) => images.rows(wanted.slice(from, from + rowsPerRun), view)
    let next = decode(0)
    for (let from = 0; from < wanted.length; from += rowsPerRun) {
      throwIfAborted(signal, 'Fine-tuning')
      const rows = await next
      // The next images are decoded while these go through the network.
      next = from + rowsPerRun < wanted.length ? decode(from + rowsPerRun) : next
      next.catch(() => {})
      const result = await this.#worker.run(rows.data, [rows.ok.length, size.height, size.width, 3])
      all.set(result.outputs[0]!.data, from * values)
      ok.push(...rows.ok)
    }
    return { values: all, ok }
  }
}

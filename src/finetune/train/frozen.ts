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

interface Part {
  readonly values: Float32Array
  readonly ok: readonly number[]
}

/** One image's activations at the boundary, in one view; undefined is the image by its recipe. */
export interface FrozenSet {
  readonly images: readonly number[]
  readonly view: number | undefined
}

/**
 * Activations of the frozen layers at their boundary, computed once: `<folder>/<set>-<part>.f32` (float32, little
 * endian, rows one after the other) with a note beside it that makes the part done. What is there and belongs to the
 * same key is not computed again.
 */
export class FrozenActivations {
  readonly #sets: readonly { readonly places: ReadonlyMap<number, number>; readonly parts: readonly Part[] }[]
  readonly #values: number

  private constructor(
    sets: readonly { readonly places: ReadonlyMap<number, number>; readonly parts: readonly Part[] }[],
    values: number,
  ) {
    this.#sets = sets
    this.#values = values
  }

  static async make(options: {
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
  }): Promise<FrozenActivations> {
    const { folder, sets, values, images, size, progress, signal } = options
    await mkdir(folder, { recursive: true })
    const total = sets.reduce((sum, set) => sum + set.images.length, 0)
    const task = progress.task({ label: 'Frozen layers', total, unit: 'images' })
    let worker: InferenceWorker | undefined
    let done = 0
    const made = []
    try {
      for (const [number, set] of sets.entries()) {
        const parts: Part[] = []
        for (let from = 0; from < set.images.length; from += rowsPerPart) {
          const wanted = set.images.slice(from, from + rowsPerPart)
          const path = join(folder, `${number}-${from / rowsPerPart}.f32`)
          const key = sha256(JSON.stringify([options.key, set.view ?? null, wanted]))
          let part = await standing(path, key, wanted.length, values, images)
          if (!part) {
            worker ??= await InferenceWorker.open(await options.graphFile(), { threads: options.threads })
            part = await compute(worker, wanted, set.view, values, images, size, signal)
            const bytes = new Uint8Array(part.values.buffer)
            await writeFileAtomic(path, bytes)
            const hashes = wanted.flatMap((index) => {
              const { id } = images.items[index]!
              return images.hashes.has(id) ? [[id, images.hashes.get(id)!]] : []
            })
            const note = { format: 1, key, rows: wanted.length, values, sha256: sha256(bytes), ok: part.ok, hashes }
            await writeJsonAtomic(`${path}.json`, note)
          }
          parts.push(part)
          done += wanted.length
          task.update(done)
        }
        made.push({ places: new Map(set.images.map((index, place) => [index, place])), parts })
      }
    } finally {
      await worker?.close()
      task.end()
    }
    return new FrozenActivations(made, values)
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

async function standing(
  path: string,
  key: string,
  rows: number,
  values: number,
  images: Images,
): Promise<Part | undefined> {
  const note = await readNote(`${path}.json`, noteSchema)
  if (note?.key !== key || note.rows !== rows || note.values !== values) return undefined
  const bytes = await readIfPresent(path)
  if (!bytes || bytes.length !== rows * values * 4 || sha256(bytes) !== note.sha256) return undefined
  for (const [id, hash] of note.hashes) images.hashes.set(id, hash)
  return { values: new Float32Array(new Uint8Array(bytes).buffer), ok: note.ok }
}

async function compute(
  worker: InferenceWorker,
  wanted: readonly number[],
  view: number | undefined,
  values: number,
  images: Images,
  { width, height }: { readonly width: number; readonly height: number },
  signal: AbortSignal | undefined,
): Promise<Part> {
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
    const result = await worker.run(rows.data, [rows.ok.length, height, width, 3])
    all.set(result.outputs[0]!.data, from * values)
    ok.push(...rows.ok)
  }
  return { values: all, ok }
}

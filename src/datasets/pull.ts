import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import sharp from 'sharp'
import { z } from 'zod'
import { Fc7Error, InterruptedError, throwIfAborted } from '../base/errors.js'
import { contextOf, type FetchOptions, fetchFirst, type Source, withLock } from '../base/fetch/index.js'
import {
  explainWriteError,
  readIfPresent,
  readJson,
  readNote,
  sha256,
  syncFolder,
  temporaryName,
  writeJsonAtomic,
} from '../base/files.js'
import { silentProgress } from '../base/progress.js'
import { createRandom } from '../base/random.js'
import type { DatasetCard } from './card.js'

export interface PullOptions extends FetchOptions {
  readonly cacheFolder: string
  /** Chooses the images; default the card's. */
  readonly seed?: number | undefined
  /** Images a class; default the card's. */
  readonly trainPerClass?: number | undefined
  readonly testPerClass?: number | undefined
}

/** What a pull will write, as plain data. */
export interface PullPlan {
  readonly folder: string
  readonly seed: number
  readonly trainPerClass: number
  readonly testPerClass: number
}

// Hidden, so that the folder source passes over it.
const markerName = '.fc7-dataset.json'
const markerSchema = z.object({
  format: z.literal(1),
  card: z.string(),
  files: z.array(z.object({ path: z.string(), size: z.number(), sha256: z.string() })),
})
type Written = z.infer<typeof markerSchema>['files'][number]

/** Where a pull writes and what. @throws Fc7Error USAGE_SUBSET */
export function planPull(card: DatasetCard, options: PullOptions): PullPlan {
  const { seed = card.subset.seed, trainPerClass = card.subset.trainPerClass } = options
  const { testPerClass = card.subset.testPerClass } = options
  for (const [name, value] of Object.entries({ trainPerClass, testPerClass })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new Fc7Error('USAGE_SUBSET', `${name} is ${value}; it must be a whole number from 1.`, {
        hint: 'Leave it out for the card’s own.',
      })
    }
  }
  const folder = join(options.cacheFolder, 'datasets', `${card.id}-${trainPerClass}x${testPerClass}-seed${seed}`)
  return { folder, seed, trainPerClass, testPerClass }
}

/** Where a source of a card lands in the cache. */
function sourcePlace(card: DatasetCard, source: Source, cacheFolder: string): string {
  if (source.kind === 'npm') return join(cacheFolder, 'npm', `${source.package.replace('/', '+')}-${source.version}`)
  return join(cacheFolder, 'downloads', card.id)
}

async function isWhole(folder: string, card: DatasetCard): Promise<boolean> {
  const marker = await readNote(join(folder, markerName), markerSchema)
  if (marker?.card !== card.id) return false
  for (const { path, size } of marker.files) {
    const found = await stat(join(folder, path)).catch(() => undefined)
    if (!found?.isFile() || found.size !== size) return false
  }
  return true
}

/** `count` indices of each class, chosen by the seed and sorted. */
export function chooseBalanced(
  labels: readonly number[],
  classes: number,
  count: number,
  seed: string | number,
): number[] {
  const byClass: number[][] = Array.from({ length: classes }, () => [])
  labels.forEach((label, index) => {
    byClass[label]?.push(index)
  })
  const random = createRandom(seed)
  return byClass
    .flatMap((indices, label) => {
      if (indices.length < count) {
        throw new Fc7Error('USAGE_SUBSET', `A class has only ${indices.length} images; ${count} were asked for.`, {
          hint: `Ask for at most ${Math.min(...byClass.map((all) => all.length))} images a class.`,
        })
      }
      return random.fork(label).shuffled(indices).slice(0, count)
    })
    .sort((a, b) => a - b)
}

/** Writes the chosen images of one split as PNG files; sheets are decoded one at a time. */
async function writeSplit(
  card: DatasetCard,
  split: 'train' | 'test',
  from: string,
  to: string,
  chosenBy: { readonly count: number; readonly seed: number },
  done: (files: number) => void,
  signal: AbortSignal | undefined,
): Promise<Written[]> {
  const { width, height } = card.sheets
  const { sheets, labels: labelFile } = card.sheets[split]
  const labels = z
    .array(
      z
        .number()
        .int()
        .min(0)
        .max(card.classes.length - 1),
    )
    .parse(await readJson(join(from, labelFile), 'The label file'))
  const chosen = chooseBalanced(labels, card.classes.length, chosenBy.count, `${chosenBy.seed}/${split}`)
  for (const name of card.classes) await mkdir(join(to, split, name), { recursive: true })
  const digits = String(labels.length - 1).length
  const written: Written[] = []
  let first = 0
  let next = 0
  for (const sheet of sheets) {
    const { data, info } = await sharp(join(from, sheet), { limitInputPixels: 2 ** 28 })
      .toColourspace('srgb')
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true })
    if (info.width !== width * height || info.channels !== 3) {
      throw new Fc7Error('DATASET_CARD_BROKEN', `${sheet} of ${card.id} is not a sheet of ${width}×${height} images.`, {
        hint: 'Correct the card.',
      })
    }
    const bytes = width * height * 3
    for (; next < chosen.length && chosen[next]! < first + info.height; next++) {
      throwIfAborted(signal, 'Writing the data set')
      const index = chosen[next]!
      const start = (index - first) * bytes
      const png = await sharp(data.subarray(start, start + bytes), { raw: { width, height, channels: 3 } })
        .png()
        .toBuffer()
      const path = `${split}/${card.classes[labels[index]!]}/${String(index).padStart(digits, '0')}.png`
      await writeFile(join(to, path), png)
      written.push({ path, size: png.length, sha256: sha256(png) })
      done(1)
    }
    first += info.height
  }
  if (first !== labels.length || next !== chosen.length) {
    throw new Fc7Error(
      'DATASET_CARD_BROKEN',
      `The sheets of ${card.id} hold ${first} images for ${labels.length} labels.`,
      {
        hint: 'Correct the card.',
      },
    )
  }
  return written
}

/**
 * Fetches a card's source and writes a balanced subset as PNG files, `<split>/<class>/<index>.png`, into a folder of
 * the cache: all of it or nothing. A folder that is whole already is reused.
 *
 * @returns the folder, ready for `openDataset`
 * @throws Fc7Error USAGE_SUBSET, DATASET_CARD_BROKEN, WRITE_*, INTERRUPTED and what `fetchSource` throws
 */
export async function pullDataset(
  card: DatasetCard,
  options: PullOptions,
): Promise<PullPlan & { readonly reused: boolean }> {
  const plan = planPull(card, options)
  if (await isWhole(plan.folder, card)) return { ...plan, reused: true }
  const { path: from } = await fetchFirst(
    card.sources,
    (source) => sourcePlace(card, source, options.cacheFolder),
    options,
  )
  return withLock(plan.folder, contextOf(options), async () => {
    if (await isWhole(plan.folder, card)) return { ...plan, reused: true }
    const temporary = temporaryName(plan.folder)
    const total = card.classes.length * (plan.trainPerClass + plan.testPerClass)
    const task = (options.progress ?? silentProgress).task({ label: `Writing ${card.id}`, total, unit: 'images' })
    let count = 0
    const done = (files: number): void => {
      count += files
      task.update(count)
    }
    try {
      const files: Written[] = []
      for (const split of ['train', 'test'] as const) {
        const chosenBy = { count: split === 'train' ? plan.trainPerClass : plan.testPerClass, seed: plan.seed }
        files.push(...(await writeSplit(card, split, from, temporary, chosenBy, done, options.signal)))
      }
      await writeJsonAtomic(join(temporary, markerName), {
        format: 1,
        card: card.id,
        ...plan,
        folder: undefined,
        files,
      })
      const standing = await stat(plan.folder).catch(() => undefined)
      if (standing && (await readIfPresent(join(plan.folder, markerName))) === undefined) {
        throw new Fc7Error(
          'DESTINATION_TAKEN',
          `${plan.folder} is where ${card.id} belongs, but fc7 did not write it.`,
          {
            hint: 'Move it away, or choose another cache folder with --cache.',
          },
        )
      }
      await rm(plan.folder, { recursive: true, force: true })
      await rename(temporary, plan.folder)
      await syncFolder(dirname(plan.folder))
    } catch (error) {
      if (options.signal?.aborted) throw new InterruptedError('Writing the data set')
      throw error instanceof Fc7Error ? error : explainWriteError(error, plan.folder)
    } finally {
      task.end()
      await rm(temporary, { recursive: true, force: true })
    }
    return { ...plan, reused: false }
  })
}

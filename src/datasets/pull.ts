import { rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { Fc7Error, InterruptedError } from '../base/errors.js'
import { contextOf, type FetchOptions, fetchFirst, type Source, withLock } from '../base/fetch/index.js'
import {
  explainWriteError,
  readIfPresent,
  readNote,
  syncFolder,
  temporaryName,
  writeJsonAtomic,
} from '../base/files.js'
import { silentProgress } from '../base/progress.js'
import type { DatasetCard } from './card.js'
import { type WrittenFile, writeSplit } from './subset.js'

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

/** Puts a finished folder in its place. @throws Fc7Error DESTINATION_TAKEN where something else stands there */
async function replaceFolder(temporary: string, folder: string, card: DatasetCard): Promise<void> {
  const standing = await stat(folder).catch(() => undefined)
  if (standing && (await readIfPresent(join(folder, markerName))) === undefined) {
    throw new Fc7Error('DESTINATION_TAKEN', `${folder} is where ${card.id} belongs, but fc7 did not write it.`, {
      hint: 'Move it away, or choose another cache folder with --cache.',
    })
  }
  await rm(folder, { recursive: true, force: true })
  await rename(temporary, folder)
  await syncFolder(dirname(folder))
}

/** Writes the subset of a plan into its folder, from the fetched source in `from`. */
async function writeSubset(card: DatasetCard, plan: PullPlan, from: string, options: PullOptions): Promise<void> {
  const { signal, progress = silentProgress } = options
  const temporary = temporaryName(plan.folder)
  const total = card.classes.length * (plan.trainPerClass + plan.testPerClass)
  const task = progress.task({ label: `Writing ${card.id}`, total, unit: 'images' })
  let images = 0
  const onImage = (): void => task.update(++images)
  try {
    const files: WrittenFile[] = []
    for (const split of ['train', 'test'] as const) {
      const count = split === 'train' ? plan.trainPerClass : plan.testPerClass
      files.push(...(await writeSplit({ card, split, from, to: temporary, count, seed: plan.seed, onImage, signal })))
    }
    const marker = { format: 1, card: card.id, ...plan, folder: undefined, files }
    await writeJsonAtomic(join(temporary, markerName), marker)
    await replaceFolder(temporary, plan.folder, card)
  } catch (error) {
    if (signal?.aborted) throw new InterruptedError('Writing the data set')
    throw error instanceof Fc7Error ? error : explainWriteError(error, plan.folder)
  } finally {
    task.end()
    await rm(temporary, { recursive: true, force: true })
  }
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
    await writeSubset(card, plan, from, options)
    return { ...plan, reused: false }
  })
}

import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { Fc7Error } from '../base/errors.js'
import { sourceSchema } from '../base/fetch/index.js'
import { readJson } from '../base/files.js'

const innerPath = z
  .string()
  .regex(/^[\w.-]+(\/[\w.-]+)*$/)
  .refine((path) => !path.split('/').includes('..'))
const splitSchema = z.strictObject({
  /** Image files that hold one image a row. */
  sheets: z.array(innerPath).min(1),
  /** JSON array with one class index an image, over all sheets in order. */
  labels: innerPath,
})

/** What a data set card says. */
export const datasetCardSchema = z.strictObject({
  format: z.literal(1),
  id: z.string().regex(/^[a-z0-9][a-z0-9-]*$/),
  title: z.string().min(1),
  about: z.string().min(1),
  licence: z.string().min(1),
  homepage: z.url().optional(),
  /** Bytes to fetch. */
  bytes: z.number().int().positive(),
  sources: z.array(sourceSchema).min(1),
  /** Names of the classes; a label file's number i means the i-th. */
  classes: z.array(z.string().regex(/^[\w][\w .-]*$/)).min(2),
  /** Sheets: every row of an image is one image of width × height pixels, red, green and blue together, row by row. */
  sheets: z.strictObject({
    width: z.number().int().min(1).max(4096),
    height: z.number().int().min(1).max(4096),
    train: splitSchema,
    test: splitSchema,
  }),
  /** The subset that is written when nobody asks for another. */
  subset: z.strictObject({
    trainPerClass: z.number().int().positive(),
    testPerClass: z.number().int().positive(),
    seed: z.number().int().nonnegative(),
  }),
})
export type DatasetCard = z.infer<typeof datasetCardSchema>

const cardsFolder = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'datasets')

/** Ids of all data set cards, sorted. */
export async function listDatasetIds(folder: string = cardsFolder): Promise<string[]> {
  const names = await readdir(folder).catch(() => [])
  return names
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -5))
    .sort()
}

/**
 * @throws Fc7Error DATASET_CARD_UNKNOWN, DATASET_CARD_BROKEN
 */
export async function loadDatasetCard(id: string, folder: string = cardsFolder): Promise<DatasetCard> {
  const ids = await listDatasetIds(folder)
  if (!ids.includes(id)) {
    throw new Fc7Error('DATASET_CARD_UNKNOWN', `There is no data set card "${id}".`, {
      hint: `Known: ${ids.join(', ')}. For your own images give the path of their folder.`,
    })
  }
  const path = join(folder, `${id}.json`)
  const parsed = datasetCardSchema.safeParse(await readJson(path, 'The data set card'))
  if (!parsed.success) {
    throw new Fc7Error(
      'DATASET_CARD_BROKEN',
      `The data set card ${path} is not valid: ${z.prettifyError(parsed.error)}`,
      {
        hint: 'Correct the card, or install fc7 again.',
      },
    )
  }
  return parsed.data
}

/** All cards, by id. */
export async function listDatasetCards(folder: string = cardsFolder): Promise<DatasetCard[]> {
  return Promise.all((await listDatasetIds(folder)).map((id) => loadDatasetCard(id, folder)))
}

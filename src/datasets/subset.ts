import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { z } from 'zod'
import { Fc7Error, throwIfAborted } from '../base/errors.js'
import { readJson, sha256 } from '../base/files.js'
import { createRandom } from '../base/random.js'
import { counted } from '../base/text.js'
import type { DatasetCard } from './card.js'

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
        throw new Fc7Error(
          'USAGE_SUBSET',
          `A class has only ${counted(indices.length, 'image')}; you asked for ${count}.`,
          {
            hint: `Ask for at most ${Math.min(...byClass.map((all) => all.length))} images a class.`,
          },
        )
      }
      return random.fork(label).shuffled(indices).slice(0, count)
    })
    .sort((a, b) => a - b)
}

/** A file of the subset: its path has `/` and is relative to the subset's folder. */
export interface WrittenFile {
  readonly path: string
  /** Bytes. */
  readonly size: number
  readonly sha256: string
}

export interface SplitRequest {
  readonly card: DatasetCard
  readonly split: 'train' | 'test'
  /** Folder of the card's source. */
  readonly from: string
  /** Folder of the subset. */
  readonly to: string
  /** Images a class. */
  readonly count: number
  readonly seed: number
  /** Called after each image. */
  readonly onImage: () => void
  readonly signal?: AbortSignal | undefined
}

const brokenCard = (sentence: string): Fc7Error =>
  new Fc7Error('DATASET_CARD_BROKEN', sentence, { hint: 'Correct the card.' })

/** The class index of every image of a split, over all its sheets. */
async function readLabels({ card, split, from }: SplitRequest): Promise<readonly number[]> {
  const label = z
    .number()
    .int()
    .min(0)
    .max(card.classes.length - 1)
  return z.array(label).parse(await readJson(join(from, card.sheets[split].labels), 'The label file'))
}

/** A sheet as `uint8 [rows, height, width, 3]`: every row of it is one image. @throws Fc7Error DATASET_CARD_BROKEN */
async function readSheet({ card, from }: SplitRequest, sheet: string): Promise<{ data: Uint8Array; rows: number }> {
  const { width, height } = card.sheets
  const { data, info } = await sharp(join(from, sheet), { limitInputPixels: 2 ** 28 })
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  if (info.width !== width * height || info.channels !== 3)
    throw brokenCard(`${sheet} of ${card.id} is not a sheet of ${width}×${height} images.`)
  return { data, rows: info.height }
}

async function writePng({ card, to }: SplitRequest, pixels: Uint8Array, path: string): Promise<WrittenFile> {
  const { width, height } = card.sheets
  const png = await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
  await writeFile(join(to, path), png)
  return { path, size: png.length, sha256: sha256(png) }
}

/**
 * Writes the chosen images of one split as PNG files; sheets are decoded one at a time.
 *
 * @throws Fc7Error USAGE_SUBSET, DATASET_CARD_BROKEN, INTERRUPTED
 */
export async function writeSplit(request: SplitRequest): Promise<WrittenFile[]> {
  const { card, split, to, count, seed, onImage, signal } = request
  const labels = await readLabels(request)
  const chosen = chooseBalanced(labels, card.classes.length, count, `${seed}/${split}`)
  for (const name of card.classes) await mkdir(join(to, split, name), { recursive: true })
  const digits = String(labels.length - 1).length
  const bytes = card.sheets.width * card.sheets.height * 3
  const written: WrittenFile[] = []
  let first = 0
  let next = 0
  for (const sheet of card.sheets[split].sheets) {
    const { data, rows } = await readSheet(request, sheet)
    for (; next < chosen.length && chosen[next]! < first + rows; next++) {
      throwIfAborted(signal, 'Writing the data set')
      const index = chosen[next]!
      const start = (index - first) * bytes
      const path = `${split}/${card.classes[labels[index]!]}/${String(index).padStart(digits, '0')}.png`
      written.push(await writePng(request, data.subarray(start, start + bytes), path))
      onImage()
    }
    first += rows
  }
  if (first !== labels.length || next !== chosen.length)
    throw brokenCard(`The sheets of ${card.id} hold ${counted(first, 'image')} for ${counted(labels.length, 'label')}.`)
  return written
}

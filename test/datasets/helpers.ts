import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import type { DatasetItem, DatasetOptions } from '../../src/datasets/contract.js'
import { openDataset } from '../../src/datasets/open.js'
import { readImage } from '../../src/datasets/read.js'

export const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/datasets/${name}`, import.meta.url))

export async function allItems(path: string, options: DatasetOptions = {}): Promise<DatasetItem[]> {
  const all: DatasetItem[] = []
  for await (const item of (await openDataset(path, options)).items()) all.push(item)
  return all
}

export const brokenCode = (item: DatasetItem | undefined): string | undefined =>
  item?.load.kind === 'broken' ? item.load.code : undefined

/** The number i of a fixture's image, whose grey value is 10 i; undefined where there is none to read. */
export async function imageNumber(item: DatasetItem): Promise<number | undefined> {
  if (item.load.kind === 'broken') return undefined
  const pixels = await sharp(await readImage(item.load))
    .raw()
    .toBuffer()
  return pixels[0]! / 10
}

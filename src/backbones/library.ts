import { readdir } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { Fc7Error, systemCode } from '../base/errors.js'
import { readJson } from '../base/files.js'
import { type Card, readCard } from './card.js'

/** The package's own cards; the same place from src/ and dist/. */
export const cardsFolder = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'onnx-models')

/** Where `models import` writes a user's cards. */
export const userCardsFolder = (cacheFolder: string): string => join(cacheFolder, 'cards')

/** A card that fc7 knows by its id. Paths of its `file` sources are absolute here. */
export interface KnownCard {
  readonly card: Card
  /** Where it is written. */
  readonly path: string
  /** True for one that a user imported, false for one of the package's. */
  readonly own: boolean
}

interface CardFile {
  readonly id: string
  readonly path: string
  readonly own: boolean
}

async function filesIn(folder: string, own: boolean): Promise<CardFile[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (own && systemCode(error) === 'ENOENT') return []
    throw error
  })
  return names
    .flatMap((name) => (name.endsWith('.json') && !name.startsWith('.') ? [basename(name, '.json')] : []))
    .sort()
    .map((id) => ({ id, path: join(folder, `${id}.json`), own }))
}

/** The package's cards, then the user's; a user's card cannot take the id of one of the package's. */
async function cardFiles(cacheFolder: string | undefined): Promise<CardFile[]> {
  const packaged = await filesIn(cardsFolder, false)
  const taken = new Set(packaged.map(({ id }) => id))
  const own = cacheFolder === undefined ? [] : await filesIn(userCardsFolder(cacheFolder), true)
  return [...packaged, ...own.filter(({ id }) => !taken.has(id))]
}

async function open({ id, path, own }: CardFile): Promise<KnownCard> {
  const card = await readCard(path)
  if (card.id !== id) {
    throw new Fc7Error('MODEL_CARD_BROKEN', `The card ${path} calls itself "${card.id}".`, {
      hint: 'A card’s id is the name of its file.',
    })
  }
  const sources = card.sources.map((source) =>
    source.kind === 'file' ? { ...source, path: resolve(dirname(path), source.path) } : source,
  )
  return { card: { ...card, sources }, path, own }
}

/** Ids of all known cards: the package's, then, with a cache folder, the user's. */
export async function listCardIds(cacheFolder?: string): Promise<string[]> {
  return (await cardFiles(cacheFolder)).map(({ id }) => id)
}

/** @throws Fc7Error MODEL_UNKNOWN with the known ids, MODEL_CARD_BROKEN */
export async function findCard(id: string, cacheFolder?: string): Promise<KnownCard> {
  const files = await cardFiles(cacheFolder)
  const file = files.find((entry) => entry.id === id)
  if (file) return open(file)
  throw new Fc7Error('MODEL_UNKNOWN', `There is no model "${id}", neither as a card nor as a file.`, {
    hint: `Known models: ${files.map((entry) => entry.id).join(', ')}. Or give the path of an ONNX file.`,
  })
}

/** The card alone. @throws Fc7Error MODEL_UNKNOWN, MODEL_CARD_BROKEN */
export async function loadCard(id: string, cacheFolder?: string): Promise<Card> {
  return (await findCard(id, cacheFolder)).card
}

/** All known cards. A user's card that is broken does not hide the others: it is left out and listed in `broken`. */
export async function loadCards(
  cacheFolder?: string | undefined,
): Promise<{ readonly cards: KnownCard[]; readonly broken: Fc7Error[] }> {
  const cards: KnownCard[] = []
  const broken: Fc7Error[] = []
  for (const file of await cardFiles(cacheFolder)) {
    try {
      cards.push(await open(file))
    } catch (error) {
      if (!file.own || !(error instanceof Fc7Error)) throw error
      broken.push(error)
    }
  }
  return { cards, broken }
}

/** Class names in output order, or undefined where the card tells none. A named file is one of the package's lists. */
export async function classNames(card: Card): Promise<string[] | undefined> {
  if (card.classes === undefined || Array.isArray(card.classes)) return card.classes
  return z.array(z.string()).parse(await readJson(join(cardsFolder, card.classes.file), 'The class names', 4 << 20))
}

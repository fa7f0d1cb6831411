import { stat } from 'node:fs/promises'
import { basename, extname, resolve } from 'node:path'
import { Fc7Error } from '../base/errors.js'
import type { PixelSize } from '../images/recipe/recipe.js'
import { readModel } from '../onnx/read.js'
import { type Card, type ChosenRecipe, readCard, recipeOf } from './card.js'
import { identityOf } from './identity.js'
import { loadCard, loadCards } from './library.js'
import { imageInput } from './prepare.js'
import { findBackbone, type PulledBackbone, pullBytes } from './pull.js'

export interface ResolveOptions {
  readonly cacheFolder: string
  /** The card's default when left out; for a file without a card it must be given. */
  readonly recipeName?: string | undefined
  readonly offline?: boolean | undefined
}

/** A backbone that somebody named, with everything but its weights decided. */
export interface ResolvedBackbone {
  readonly id: string
  /** A file without a card gets one made up from its recipe, without sources that could be pulled. */
  readonly card: Card
  readonly recipe: ChosenRecipe
  /** The weights, if they are on this machine and whole. Otherwise `pullBackbone(card, …)` fetches them. */
  readonly weights: PulledBackbone | undefined
  /** Bytes to fetch where `weights` is missing and the card tells. */
  readonly pullBytes: number | undefined
}

/** Image size by card, else by the graph. @throws Fc7Error MODEL_INPUT */
async function inputSize(card: Pick<Card, 'input' | 'id'>, path: string | undefined): Promise<PixelSize> {
  if (card.input) return { width: card.input.width, height: card.input.height }
  if (path !== undefined) {
    const { width, height } = imageInput(await readModel(path))
    if (width !== undefined && height !== undefined) return { width, height }
  }
  throw new Fc7Error(
    'MODEL_INPUT',
    `The size of ${card.id}'s images is known neither from its card nor from its graph.`,
    {
      hint: 'Write "input": { "width": …, "height": … } into the card.',
    },
  )
}

/** sha256 of the ONNX file that each source gives, as far as the card tells. */
const pins = (card: Card): (string | undefined)[] =>
  card.sources.map((source) => (source.kind === 'npm' ? source.import.sha256 : source.sha256))

const isPinned = (card: Card, sha256: string): boolean => pins(card).includes(sha256)

/**
 * Whether a card can give these bytes at all: one that pins other hashes only cannot, and need not be fetched to find
 * that out.
 */
export const mayGive = (card: Card, sha256: string): boolean =>
  pins(card).some((pin) => pin === undefined || pin === sha256)

/** The card of the package or the user that describes exactly these bytes. */
export async function cardOfHash(sha256: string, cacheFolder: string): Promise<Card | undefined> {
  const { cards } = await loadCards(cacheFolder)
  return cards.find(({ card }) => isPinned(card, sha256))?.card
}

/** The card that belongs to a file: by the file's sha256, else the one that lies beside it. */
async function cardOfFile(path: string, sha256: string, cacheFolder: string): Promise<Card | undefined> {
  const known = await cardOfHash(sha256, cacheFolder)
  if (known) return known
  const beside = `${path}.card.json`
  if (!(await stat(beside).catch(() => undefined))?.isFile()) return undefined
  const card = await readCard(beside)
  if (!isPinned(card, sha256)) {
    throw new Fc7Error('HASH_MISMATCH', `${path} is not the file that its card ${beside} describes.`, {
      hint: `Write the card again with \`fc7 models import ${path}\`, or get the file again.`,
    })
  }
  return card
}

async function resolveFile(path: string, options: ResolveOptions): Promise<ResolvedBackbone> {
  const sha256 = await identityOf(path)
  const weights = { path, sha256, reused: true }
  const card = await cardOfFile(path, sha256, options.cacheFolder)
  if (card) {
    const recipe = recipeOf(card, await inputSize(card, path), options.recipeName)
    return { id: card.id, card, recipe, weights, pullBytes: undefined }
  }
  if (options.recipeName === undefined) {
    throw new Fc7Error('MODEL_NO_CARD', `${path} matches no card, so its preprocessing is not known.`, {
      hint:
        'Name it with --recipe (torchvision, keras-caffe, keras-tf, keras-squash or caffe), or write a card with ' +
        '`fc7 models import`.',
    })
  }
  const id =
    basename(path, extname(path))
      .replace(/[^\w.-]+/g, '-')
      .replace(/^[^a-zA-Z0-9]+/, '') || 'model'
  const made = { id, recipes: [] }
  const recipe = recipeOf(made, await inputSize({ id }, path), options.recipeName)
  const card2: Card = {
    format: 1,
    id,
    title: basename(path),
    sources: [{ kind: 'file', path: resolve(path), sha256 }],
    recipes: [recipe],
    layers: [],
  }
  return { id, card: card2, recipe, weights, pullBytes: undefined }
}

/**
 * Finds out what a user means by `--model`: a card's id, or the path of an ONNX file. A file is matched to a card by
 * its sha256, then by `<file>.card.json` beside it; failing both a recipe must be named, because fc7 never guesses a
 * preprocessing. Nothing is fetched here.
 *
 * @throws Fc7Error MODEL_UNKNOWN, MODEL_NO_CARD, MODEL_CARD_BROKEN, RECIPE_UNKNOWN, HASH_MISMATCH
 */
export async function resolveBackbone(idOrPath: string, options: ResolveOptions): Promise<ResolvedBackbone> {
  const found = await stat(idOrPath).catch(() => undefined)
  const looksLikePath = /[\\/]/.test(idOrPath) || extname(idOrPath).toLowerCase() === '.onnx'
  if (found?.isFile() && looksLikePath) return resolveFile(idOrPath, options)
  if (looksLikePath) {
    throw new Fc7Error('FILE_UNREADABLE', `There is no model file ${idOrPath}.`, {
      hint:
        `Check the path${found ? ' (it is no file)' : ''}; \`fc7 models list\` shows the models that fc7 knows by ` +
        'name.',
    })
  }
  const card = await loadCard(idOrPath, options.cacheFolder)
  const weights = await findBackbone(card, { cacheFolder: options.cacheFolder, offline: true })
  const recipe = recipeOf(card, await inputSize(card, weights?.path), options.recipeName)
  return { id: card.id, card, recipe, weights, pullBytes: weights ? undefined : pullBytes(card) }
}

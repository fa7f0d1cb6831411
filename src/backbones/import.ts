import { stat } from 'node:fs/promises'
import { basename, join, relative, resolve } from 'node:path'
import { Fc7Error } from '../base/errors.js'
import { writeJsonAtomic } from '../base/files.js'
import { type Progress, silentProgress } from '../base/progress.js'
import { recipeNames } from '../images/recipe/recipe.js'
import { externalFiles } from '../onnx/external.js'
import type { ModelProto } from '../onnx/generated/onnx_pb.js'
import { readModel, readModelBare } from '../onnx/read.js'
import { writeModel } from '../onnx/write.js'
import { type Card, cardSchema, recipeOf } from './card.js'
import { identityOf } from './identity.js'
import { chooseLayers, listLayers } from './layers.js'
import { findCard, userCardsFolder } from './library.js'
import { prepareBackbone } from './prepare.js'
import { cardOfHash } from './resolve.js'
import { importTfjsLayersModel } from './tfjs/import.js'

export interface ImportRequest {
  /** An ONNX file, a TensorFlow.js layers model (its folder or its model.json). */
  readonly path: string
  /** The name that the model gets: `--model <id>`. */
  readonly id: string
  /** One of fc7's named recipes. May be left out only where a known card describes exactly this file. */
  readonly recipeName?: string | undefined
  readonly cacheFolder: string
  /** Replace a card of the user's own with this id. */
  readonly force?: boolean | undefined
  readonly progress?: Progress | undefined
}

export interface ImportedBackbone {
  readonly card: Card
  readonly cardPath: string
  /** The ONNX file that the card points to. */
  readonly path: string
  readonly sha256: string
  /** The layer that embeddings are read from by default. */
  readonly defaultLayer: { readonly name: string; readonly shape: readonly (number | string)[] }
}

/** An id must be a card's, and must not look like a file: `--model` tells the two apart by that. */
function isUsable(id: string): boolean {
  return cardSchema.shape.id.safeParse(id).success && !/\.onnx$/i.test(id)
}

/**
 * Whether a user's card may be written under an id: none stands there, or one of the user's own that `force` or `mine`
 * (the file it describes) allows to replace.
 *
 * @throws Fc7Error USAGE_MODEL_ID, MODEL_ID_TAKEN
 */
export async function refuseTaken(id: string, cacheFolder: string, force: boolean, mine?: string): Promise<void> {
  if (!isUsable(id)) {
    throw new Fc7Error('USAGE_MODEL_ID', `"${id}" cannot be the id of a model.`, {
      hint: 'Use letters, digits, dots, hyphens and underscores, beginning with a letter or digit.',
    })
  }
  const standing = await findCard(id, cacheFolder).catch((error: unknown) => {
    if (error instanceof Fc7Error && (error.code === 'MODEL_UNKNOWN' || force)) return undefined
    throw error
  })
  if (!standing || (standing.own && force)) return
  if (standing.own && standing.card.sources.some((source) => source.kind === 'file' && source.path === mine)) return
  throw new Fc7Error('MODEL_ID_TAKEN', `There is a model "${id}" already (${standing.path}).`, {
    hint: standing.own ? 'Choose another --id, or replace it with --force.' : 'Choose another --id.',
  })
}

/** The path of model.json if the path is a TensorFlow.js model, else undefined. */
async function tfjsModel(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined)
  if (!found) {
    throw new Fc7Error('FILE_UNREADABLE', `There is no model ${path}.`, {
      hint: 'Give an ONNX file, or the folder of a TensorFlow.js layers model.',
    })
  }
  if (!found.isDirectory()) return path.toLowerCase().endsWith('.json') ? path : undefined
  const inside = join(path, 'model.json')
  if ((await stat(inside).catch(() => undefined))?.isFile()) return inside
  throw new Fc7Error('FILE_UNREADABLE', `The folder ${path} holds no model.json.`, {
    hint: 'Give an ONNX file, or the folder of a TensorFlow.js layers model.',
  })
}

interface Weights {
  readonly model: ModelProto
  /** A model that exists only in memory so far, or whose weights lie in several files, gets a file of fc7's own. */
  readonly write: boolean
}

async function readWeights(path: string): Promise<Weights> {
  const modelJson = await tfjsModel(path)
  if (modelJson !== undefined) return { model: await importTfjsLayersModel({ modelJsonPath: modelJson }), write: true }
  const external = await externalFiles(await readModelBare(path), path)
  return { model: await readModel(path), write: external.length > 0 }
}

/** The recipes that the card gets: the named one, or those of a known card of the same file. */
function recipesFor(request: ImportRequest, known: Card | undefined): Pick<Card, 'recipes'> & Partial<Card> {
  const { recipeName } = request
  if (known) {
    const { licence, recipes, layers, defaultLayer, classes, training } = known
    const all = { licence, layers, defaultLayer, classes, training }
    const kept = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Partial<Card>
    const chosen = recipeName === undefined ? undefined : recipes.find((entry) => nameOf(entry) === recipeName)
    const others = recipes.filter((entry) => entry !== chosen)
    if (recipeName === undefined || chosen) return { ...kept, recipes: chosen ? [chosen, ...others] : recipes }
  }
  const name = recipeNames.find((entry) => entry === recipeName)
  if (name) return { recipes: [name] }
  if (recipeName === undefined) {
    throw new Fc7Error('MODEL_NO_RECIPE', `How images are prepared for ${request.path} is not known.`, {
      hint: `Name its preprocessing with --recipe (${recipeNames.join(', ')}); fc7 never guesses one.`,
    })
  }
  throw new Fc7Error('RECIPE_UNKNOWN', `There is no recipe named "${recipeName}".`, {
    hint: `Recipes are ${recipeNames.join(', ')}.`,
  })
}

const nameOf = (entry: Card['recipes'][number]): string => (typeof entry === 'string' ? entry : entry.name)

/**
 * Makes a user's model known by a name: writes a card of a few lines into `<cache>/cards`, which `models list`,
 * `--model <id>` and `--model <file>` find. An ONNX file is used where it lies; a TensorFlow.js model is converted into
 * the cache, and so is an ONNX model whose weights lie in files of their own. The model must have an image as input, of
 * a known size, and a layer to read.
 *
 * @throws Fc7Error USAGE_MODEL_ID, MODEL_ID_TAKEN, MODEL_NO_RECIPE, RECIPE_UNKNOWN, MODEL_INPUT, LAYER_UNKNOWN,
 * FILE_UNREADABLE,
 *   TFJS_…, ONNX_…, WRITE_…; then no card is written
 * @example await importBackbone({ path: 'mine.onnx', id: 'mine', recipeName: 'torchvision', cacheFolder })
 */
export async function importBackbone(request: ImportRequest): Promise<ImportedBackbone> {
  const { id, cacheFolder, force = false, progress = silentProgress } = request
  await refuseTaken(id, cacheFolder, force)
  const given = resolve(request.path)
  const weights = await readWeights(given)
  const prepared = prepareBackbone(weights.model)
  const { name, layout, width, height } = prepared.input
  if (width === undefined || height === undefined) {
    throw new Fc7Error('MODEL_INPUT', `${request.path} leaves open how large its images are.`, {
      hint: 'Export it with a fixed height and width.',
    })
  }
  const known = weights.write ? undefined : await cardOfHash(await identityOf(given), cacheFolder)
  const described = recipesFor(request, known)
  recipeOf({ id, recipes: described.recipes }, { width, height })
  const [layer] = chooseLayers(listLayers(prepared, { layers: [], ...described }))
  const path = weights.write ? join(cacheFolder, 'models', id, `${id}.onnx`) : given
  if (weights.write) {
    progress.say(`Writing ${path}.`)
    const written = await writeModel(weights.model, path)
    if (written.length > 1) {
      throw new Fc7Error('MODEL_TOO_LARGE', `${request.path} exceeds 2 GiB.`, { hint: 'Choose another model.' })
    }
  }
  const sha256 = await identityOf(path)
  const folder = userCardsFolder(cacheFolder)
  const card = cardSchema.parse({
    format: 1,
    id,
    title: known ? `${known.title} (${basename(given)})` : basename(given),
    // A file in the cache is named relative to the card, so that the cache can be moved.
    sources: [{ kind: 'file', path: weights.write ? relative(folder, path) : path, sha256 }],
    input: { name, layout, width, height },
    ...described,
  })
  const cardPath = join(folder, `${id}.json`)
  await writeJsonAtomic(cardPath, card)
  return { card, cardPath, path, sha256, defaultLayer: { name: layer?.name ?? '', shape: layer?.layer.shape ?? [] } }
}

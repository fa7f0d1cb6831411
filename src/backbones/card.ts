import { z } from 'zod'
import { Fc7Error } from '../base/errors.js'
import { fileSourceSchema } from '../base/fetch/file.js'
import { npmSourceSchema } from '../base/fetch/npm/npm-source.js'
import { urlSourceSchema } from '../base/fetch/url-source.js'
import { readJson } from '../base/files.js'
import { namedRecipe, type PixelSize, type Recipe, recipeNames, recipeSchema } from '../images/recipe/recipe.js'

/** A path inside a folder that is known: no way out of it. */
const innerPath = z
  .string()
  .regex(/^[\w.-]+(\/[\w.-]+)*$/)
  .refine((path) => !path.split('/').includes('..'), 'must stay inside')

/** Weights in an npm package that are not ONNX yet say how they become it, and may say which file comes out. */
const npmWeightsSchema = npmSourceSchema.extend({
  import: z.strictObject({
    format: z.literal('tfjs-layers'),
    modelJson: innerPath,
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional(),
  }),
})

const weightSourceSchema = z.discriminatedUnion('kind', [urlSourceSchema, npmWeightsSchema, fileSourceSchema])

export const layerKinds = [
  'conv',
  'dense',
  'pool',
  'relu',
  'activation',
  'norm',
  'add',
  'concat',
  'softmax',
  'other',
] as const

/** What a layer does, by the operator that makes it. */
export type LayerKind = (typeof layerKinds)[number]

const tensorName = z.string().min(1).max(1024)
const alias = z.string().regex(/^[A-Za-z0-9][\w./-]*$/)

/**
 * A layer's conventional name. Either the tensor's own name, or its place: the `index`-th layer of a kind (negative
 * counts from the end). A `conv` or `dense` found by place means its output after batch normalisation and activation,
 * as `fc7` does, unless `activated` is false; other kinds mean their own output, unless `activated` is true (the sum of
 * a residual block).
 */
const layerSchema = z.union([
  z.strictObject({ alias, tensor: tensorName }),
  z.strictObject({ alias, kind: z.enum(layerKinds), index: z.int(), activated: z.boolean().optional() }),
])

const namedRecipeSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]*$/),
  note: z.string().optional(),
  recipe: recipeSchema,
})

const trainingSchema = z.strictObject({
  optimizer: z.string().min(1),
  momentum: z.number().optional(),
  learningRate: z.number().positive(),
  weightDecay: z.number().min(0).optional(),
  batchSize: z.int().positive().optional(),
  epochs: z.number().positive().optional(),
  schedule: z.string().min(1),
  /** Where these numbers are published. */
  source: z.string().min(1),
  note: z.string().optional(),
})

const sizePixels = z.int().min(1).max(4096)

export const cardSchema = z.strictObject({
  format: z.literal(1),
  id: z.string().regex(/^[a-z0-9][a-z0-9._-]*$/i),
  title: z.string().min(1),
  about: z.string().optional(),
  /** Tried in order. */
  sources: z.array(weightSourceSchema).min(1),
  licence: z.string().min(1).optional(),
  homepage: z.url().optional(),
  /** The graph's image input; what is left out is read from the graph. */
  input: z
    .strictObject({
      name: tensorName.optional(),
      layout: z.enum(['NCHW', 'NHWC']).optional(),
      width: sizePixels,
      height: sizePixels,
    })
    .optional(),
  /** The first is the default. */
  recipes: z.array(z.union([z.enum(recipeNames), namedRecipeSchema])).min(1),
  layers: z.array(layerSchema).default([]),
  /** Where embeddings are read from by default, if DESIGN's rule (input of the last classifier) does not fit. */
  defaultLayer: tensorName.optional(),
  /** Class names in the order of the outputs: a list, or a file beside the cards. */
  classes: z.union([z.array(z.string()), z.strictObject({ file: innerPath })]).optional(),
  training: trainingSchema.optional(),
})

/** What describes a backbone. See docs/cards.md for the file. */
export type Card = z.infer<typeof cardSchema>
export type WeightSource = z.infer<typeof weightSourceSchema>
export type CardLayer = z.infer<typeof layerSchema>

/** Reads and checks one card file. @throws Fc7Error MODEL_CARD_BROKEN, FILE_UNREADABLE */
export async function readCard(path: string): Promise<Card> {
  const parsed = cardSchema.safeParse(await readJson(path, 'The card', 4 << 20))
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new Fc7Error(
    'MODEL_CARD_BROKEN',
    `The card ${path} is not valid: ${issue?.path.join('.') || 'the whole'}: ${issue?.message ?? 'unexpected'}.`,
    { hint: 'Correct the card; `fc7 models import` writes one that is valid.' },
  )
}

export interface ChosenRecipe {
  readonly name: string
  readonly recipe: Recipe
}

/**
 * A recipe of the card by name (default its first), or one of fc7's named recipes, at the given input size.
 *
 * @throws Fc7Error RECIPE_UNKNOWN
 */
export function recipeOf(card: Pick<Card, 'recipes' | 'id'>, size: PixelSize, name?: string): ChosenRecipe {
  const nameOf = (entry: Card['recipes'][number]): string => (typeof entry === 'string' ? entry : entry.name)
  const found = name === undefined ? card.recipes[0] : card.recipes.find((entry) => nameOf(entry) === name)
  if (found !== undefined && typeof found !== 'string') return { name: found.name, recipe: found.recipe }
  const wanted = found ?? name ?? ''
  if (!(recipeNames as readonly string[]).includes(wanted)) {
    const known = [...new Set([...card.recipes.map(nameOf), ...recipeNames])]
    throw new Fc7Error('RECIPE_UNKNOWN', `The model ${card.id} has no recipe named "${wanted}".`, {
      hint: `Recipes are ${known.join(', ')}.`,
    })
  }
  return { name: wanted, recipe: namedRecipe(wanted, size) }
}

import { z } from 'zod'
import { Fc7Error } from '../../base/errors.js'

/**
 * A recipe is the exact preprocessing of a backbone, as data. It has two halves that run in two places:
 *
 * 1. **Geometry** (`resize`, `crop`), in images/: decoded RGB bytes become `uint8 [height, width, 3]`, always in RGB
 * order,
 *    of the size that {@link recipeSize} tells.
 * 2. **Numbers** (`channelOrder`, `scale`, `mean`, `std`), inside the ONNX graph: for every output channel c,
 *
 *        out[c] = (pixel[source(c)] * scale - mean[c]) / std[c]
 *
 *    `pixel` is the uint8 value as a float from 0 to 255. `source(c)` is c for `RGB` and 2 - c for `BGR`; `mean` and
 *    `std` are written in `channelOrder` (for BGR the first mean is blue's). `mean` is on the scaled range: with
 *    `scale` 1/255 it lies between 0 and 1, with `scale` 1 between 0 and 255.
 */

/** The largest side, in pixels, that a recipe may ask for. */
export const maxRecipeSidePixels = 4096

const side = z.int().min(1).max(maxRecipeSidePixels)
const finite = z.number()
const triple = z.tuple([finite, finite, finite])
const nonZero = finite.refine((value) => value !== 0, 'must not be 0')

export const resizeFilters = ['nearest', 'box', 'bilinear', 'hamming', 'bicubic', 'lanczos'] as const

/** Pillow's filter names. */
export type ResizeFilter = (typeof resizeFilters)[number]

const filter = z.enum(resizeFilters)
/**
 * True: Pillow's resampler, whose filter widens when it shrinks. False: the filter keeps its width (`bilinear` only),
 * as in TensorFlow's `tf.image.resize` and OpenCV's linear warp that Caffe uses: 2 taps, half-pixel centres.
 */
const antialias = z.boolean()

const shortSideSchema = z.strictObject({
  mode: z.literal('short-side'),
  /** The shorter side becomes `size`; the longer keeps the aspect ratio, whole pixels by `longSide`. */
  size: side,
  filter,
  antialias,
  /** `truncate`: torchvision's `int(size * long / short)`; `round`: to the nearest. */
  longSide: z.enum(['truncate', 'round']),
})
const squashSchema = z.strictObject({
  mode: z.literal('squash'),
  width: side,
  height: side,
  filter,
  antialias,
})
const noResizeSchema = z.strictObject({ mode: z.literal('none') })

const cropSchema = z.strictObject({
  width: side,
  height: side,
  /** Where an odd margin's half pixel goes: Python's `round` as in torchvision, or down as in Caffe. */
  rounding: z.enum(['half-even', 'floor']),
})

export const recipeSchema = z
  .strictObject({
    resize: z.discriminatedUnion('mode', [shortSideSchema, squashSchema, noResizeSchema]),
    /** A centred crop after the resize; where the image is smaller, it is padded with black as torchvision does. */
    crop: cropSchema.nullable(),
    channelOrder: z.enum(['RGB', 'BGR']),
    scale: nonZero,
    mean: triple,
    std: z.tuple([nonZero, nonZero, nonZero]),
  })
  .refine((recipe) => recipe.crop !== null || recipe.resize.mode === 'squash', {
    message: 'a recipe without a crop must squash: otherwise images come out in different sizes',
    path: ['crop'],
  })
  .refine(({ resize }) => resize.mode === 'none' || resize.antialias || resize.filter === 'bilinear', {
    message: 'antialias: false is known for the bilinear filter only',
    path: ['resize', 'antialias'],
  })

export type Recipe = z.infer<typeof recipeSchema>
export type RecipeResize = Recipe['resize']
export type RecipeCrop = NonNullable<Recipe['crop']>

/** Width and height in pixels. */
export interface PixelSize {
  readonly width: number
  readonly height: number
}

/** Reads a recipe from a card or a file. @throws Fc7Error RECIPE_BAD naming the first wrong field */
export function parseRecipe(value: unknown, where = 'the recipe'): Recipe {
  const parsed = recipeSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const field = issue?.path.map(String).join('.') || 'recipe'
  throw new Fc7Error('RECIPE_BAD', `In ${where}, ${field}: ${issue?.message ?? 'not a recipe'}.`, {
    hint: `Name one of ${recipeNames.join(', ')}, or write a recipe as docs/formats describe it.`,
  })
}

export const recipeNames = ['torchvision', 'keras-caffe', 'keras-tf', 'keras-squash', 'caffe'] as const

export type RecipeName = (typeof recipeNames)[number]

/** Resized to 256 for a crop of 224, in proportion for other sizes (299 gives 342, torchvision's own figure). */
const resizeForCrop = (crop: number): number => Math.round((crop * 256) / 224)

/** Caffe's networks all warp to 256, whether they crop 224 or 227. */
const caffeWarp = (crop: number): number => (crop >= 192 && crop <= 256 ? 256 : resizeForCrop(crop))

const pillowShortSide = (size: PixelSize): Pick<Recipe, 'resize' | 'crop'> => ({
  resize: {
    mode: 'short-side',
    size: resizeForCrop(Math.max(size.width, size.height)),
    filter: 'bilinear',
    antialias: true,
    longSide: 'truncate',
  },
  crop: { ...size, rounding: 'half-even' },
})

const imageNetMean: [number, number, number] = [0.485, 0.456, 0.406]
const imageNetStd: [number, number, number] = [0.229, 0.224, 0.225]
const kerasBgrMean: [number, number, number] = [103.939, 116.779, 123.68]
const caffeBgrMean: [number, number, number] = [104.007, 116.669, 122.679]
const ones = (): [number, number, number] => [1, 1, 1]

const named: Record<RecipeName, (size: PixelSize) => Recipe> = {
  torchvision: (size) => ({
    ...pillowShortSide(size),
    channelOrder: 'RGB',
    scale: 1 / 255,
    mean: [...imageNetMean],
    std: [...imageNetStd],
  }),
  'keras-caffe': (size) => ({
    ...pillowShortSide(size),
    channelOrder: 'BGR',
    scale: 1,
    mean: [...kerasBgrMean],
    std: ones(),
  }),
  'keras-tf': (size) => ({
    ...pillowShortSide(size),
    channelOrder: 'RGB',
    scale: 1 / 127.5,
    mean: ones(),
    std: ones(),
  }),
  'keras-squash': (size) => ({
    resize: { mode: 'squash', ...size, filter: 'bilinear', antialias: false },
    crop: null,
    channelOrder: 'BGR',
    scale: 1,
    mean: [...kerasBgrMean],
    std: ones(),
  }),
  caffe: (size) => ({
    resize: {
      mode: 'squash',
      width: caffeWarp(size.width),
      height: caffeWarp(size.height),
      filter: 'bilinear',
      antialias: false,
    },
    crop: { ...size, rounding: 'floor' },
    channelOrder: 'BGR',
    scale: 1,
    mean: [...caffeBgrMean],
    std: ones(),
  }),
}

/**
 * A recipe by its name, for a network whose input is `width` × `height` pixels.
 *
 * | name | geometry | numbers |
 * | --- | --- | --- |
 * | `torchvision` | short side 256/224 of the size (Pillow bilinear), centre crop | RGB, /255, ImageNet mean and std |
 * | `keras-caffe` | the same | BGR 0–255 minus 103.939, 116.779, 123.68 (Keras VGG, ResNet-50) |
 * | `keras-tf` | the same | RGB, x/127.5 − 1 (Keras Inception, MobileNet, ResNetV2) |
 * | `keras-squash` | squashed to the size by TensorFlow's 2-tap bilinear | as `keras-caffe` |
 * | `caffe` | warped to 256×256 without antialias, centre crop (BVLC) | BGR 0–255 minus 104.007, 116.669, 122.679 |
 *
 * @throws Fc7Error RECIPE_UNKNOWN for another name
 * @example namedRecipe('torchvision', { width: 224, height: 224 }).resize // { mode: 'short-side', size: 256, … }
 */
export function namedRecipe(name: string, size: PixelSize): Recipe {
  const isName = (text: string): text is RecipeName => (recipeNames as readonly string[]).includes(text)
  if (!isName(name)) {
    throw new Fc7Error('RECIPE_UNKNOWN', `There is no recipe named "${name}".`, {
      hint: `Recipes are ${recipeNames.join(', ')}.`,
    })
  }
  return parseRecipe(named[name]({ width: size.width, height: size.height }), `recipe ${name}`)
}

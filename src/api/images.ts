import type { AugmentationPlan, AugmentationSettings } from '../images/augment/augment-plan.js'
import type { DecodeOptions } from '../images/decode/decode.js'
import type { PreparedImage, PrepareOptions } from '../images/prepare/prepare.js'
import type { Recipe } from '../images/recipe/recipe.js'
import type { Pixels } from '../images/resample/resample.js'

export { defaultAugmentation, planAugmentation } from '../images/augment/augment-plan.js'
export { namedRecipe } from '../images/recipe/recipe.js'
export type { AugmentationPlan, AugmentationSettings, DecodeOptions, Pixels, PreparedImage, PrepareOptions, Recipe }

/**
 * Decodes an image to RGB `[height, width, 3]`, as Pillow does to the bit.
 *
 * @throws Fc7Error IMAGE_BROKEN, IMAGE_TOO_LARGE and their kin
 * @example
 * const { data, width, height } = await decodeImage(await readFile('cat.jpg'))
 */
export const decodeImage = async (bytes: Uint8Array, options?: DecodeOptions): Promise<Pixels> =>
  (await import('../images/decode/decode.js')).decodeImage(bytes, options)

/**
 * Decodes, resizes and crops an image as a recipe says.
 *
 * @example
 * const recipe = namedRecipe('torchvision', { width: 224, height: 224 })
 * const { pixels } = await prepareImage(await readFile('cat.jpg'), recipe)
 */
export const prepareImage = async (
  bytes: Uint8Array,
  recipe: Recipe,
  options?: PrepareOptions,
): Promise<PreparedImage> => (await import('../images/prepare/prepare.js')).prepareImage(bytes, recipe, options)

/**
 * Draws one planned view of an image, `[height, width, 3]` of the recipe's size.
 *
 * @example
 * const view = await applyAugmentation(pixels, planAugmentation(42, 0, 'cat.jpg', defaultAugmentation), recipe)
 */
export const applyAugmentation = async (image: Pixels, plan: AugmentationPlan, recipe: Recipe): Promise<Uint8Array> =>
  (await import('../images/augment/augment.js')).applyAugmentation(image, plan, recipe)

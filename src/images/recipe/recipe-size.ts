import { Fc7Error } from '../../base/errors.js'
import type { PixelSize, Recipe } from './recipe.js'

/** Width and height of the pixels that a recipe yields, whatever the image. */
export function recipeSize(recipe: Recipe): PixelSize {
  if (recipe.crop) return { width: recipe.crop.width, height: recipe.crop.height }
  if (recipe.resize.mode === 'squash') return { width: recipe.resize.width, height: recipe.resize.height }
  throw new Fc7Error('RECIPE_BAD', 'The recipe has neither a crop nor a squash, so its images have no common size.', {
    hint: 'Give the recipe a crop.',
  })
}

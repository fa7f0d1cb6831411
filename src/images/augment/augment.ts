import { applyRecipe } from '../prepare/prepare.js'
import type { PixelSize, Recipe } from '../recipe/recipe.js'
import { recipeSize } from '../recipe/recipe-size.js'
import { type Pixels, resample, resizedSize } from '../resample/resample.js'
import { erase, jitterColour, mirror, rotate } from './augment-pixels.js'
import type { AugmentationPlan, ViewCrop } from './augment-plan.js'

/** A part of the image, at least one pixel, as large as fits; `u` and `v` from 0 to 1 say where it lies. */
function cut(pixels: Pixels, size: PixelSize, place: { readonly u: number; readonly v: number }): Pixels {
  const w = Math.min(pixels.width, Math.max(1, Math.round(size.width)))
  const h = Math.min(pixels.height, Math.max(1, Math.round(size.height)))
  const x = Math.round(place.u * (pixels.width - w))
  const y = Math.round(place.v * (pixels.height - h))
  const data = new Uint8Array(w * h * 3)
  for (let row = 0; row < h; row++) {
    const from = ((y + row) * pixels.width + x) * 3
    data.set(pixels.data.subarray(from, from + w * 3), row * w * 3)
  }
  return { data, width: w, height: h }
}

function applyCrop(pixels: Pixels, crop: ViewCrop, recipe: Recipe, out: Uint8Array): void {
  const size = recipeSize(recipe)
  const { width, height } = pixels
  if (crop.kind === 'resized') {
    const area = width * height * crop.area
    // As torchvision does when nothing fits: the longest side that does, in the wanted proportions.
    const w = Math.min(width, Math.sqrt(area * crop.aspect), height * crop.aspect)
    const h = Math.min(height, Math.sqrt(area / crop.aspect), w / crop.aspect)
    resample(cut(pixels, { width: w, height: h }, crop), size, { filter: 'bilinear', out })
  } else if (crop.kind === 'part') {
    const side = Math.sqrt(crop.area)
    applyRecipe(cut(pixels, { width: width * side, height: height * side }, crop), recipe, out)
  } else {
    const target = resizedSize(recipe.resize, pixels)
    const fits = recipe.crop && target.width >= size.width && target.height >= size.height
    const { resize } = recipe
    if (!fits || resize.mode === 'none' || (crop.u === 0.5 && crop.v === 0.5)) applyRecipe(pixels, recipe, out)
    else {
      const x = Math.round(crop.u * (target.width - size.width))
      const y = Math.round(crop.v * (target.height - size.height))
      const { filter, antialias } = resize
      resample(pixels, target, { filter, antialias, window: { x, y, ...size }, out })
    }
  }
}

/**
 * Makes a planned view of a decoded image: crop, rotation, mirror, colour, erasing, in this order.
 * @returns `uint8 [height, width, 3]` of the recipe's size, in `into` where given
 */
export function applyAugmentation(
  pixels: Pixels,
  plan: AugmentationPlan,
  recipe: Recipe,
  into?: Uint8Array | undefined,
): Uint8Array {
  const size = recipeSize(recipe)
  const out = into ?? new Uint8Array(size.width * size.height * 3)
  applyCrop(pixels, plan.crop, recipe, out)
  const view: Pixels = { data: out, ...size }
  if (plan.rotationDegrees !== 0) rotate(view, plan.rotationDegrees)
  if (plan.flip) mirror(view)
  jitterColour(view, plan)
  if (plan.erase) erase(view, plan.erase)
  return out
}

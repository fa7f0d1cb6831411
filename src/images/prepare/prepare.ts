import sharp from 'sharp'
import { Fc7Error } from '../../base/errors.js'
import { decodeImage, type ImageBox, inspect, openImage, restrictLoaders, toRgb } from '../decode/decode.js'
import { decodeFailure, maxImageSeconds } from '../decode/decode-errors.js'
import type { Recipe } from '../recipe/recipe.js'
import { recipeSize } from '../recipe/recipe-size.js'
import { cropWindow, type PixelBox, type Pixels, resample, resizedSize } from '../resample/resample.js'
import { makeThumbnail, type Thumbnail } from './thumbnail.js'

/**
 * `exact`: the reference's resampler to the bit. `fast`: libvips' (mean error 0.2–0.3 grey levels), for antialiased
 * bilinear.
 */
export type ResizeMode = 'exact' | 'fast'

export interface PrepareOptions {
  /** Default `exact`. */
  readonly resizeMode?: ResizeMode | undefined
  /** Turn as the EXIF orientation says. Default false. */
  readonly orient?: boolean | undefined
  /** Detection box, cut out before the resize. */
  readonly box?: ImageBox | undefined
  /** Also make the 48 px thumbnail and the dHash, from the same decode. Default false. */
  readonly thumbnail?: boolean | undefined
  /**
   * Where the pixels go: `width * height * 3` bytes of the recipe's size, shared memory or not. Default a new array.
   */
  readonly into?: Uint8Array | undefined
  /** What errors call the image. */
  readonly name?: string | undefined
}

export interface PreparedImage {
  /** `uint8 [height, width, 3]` RGB, of the recipe's size; `into` where that was given. */
  readonly pixels: Uint8Array
  /** Size of the image (of its box, if there is one) before the recipe. */
  readonly width: number
  readonly height: number
  /** WebP bytes, the longer side 48 px. */
  readonly thumbnail?: Uint8Array | undefined
  /** 64-bit difference hash, 16 hex digits. */
  readonly dHash?: string | undefined
}

function outputOf(recipe: Recipe, into: Uint8Array | undefined): Uint8Array {
  const size = recipeSize(recipe)
  const bytes = size.width * size.height * 3
  if (into && into.length !== bytes) {
    throw new Fc7Error('IMAGE_SLOT_SIZE', `The slot has ${into.length} bytes, the recipe needs ${bytes}.`, {
      hint: 'Give a slot of width * height * 3 bytes of the recipe.',
    })
  }
  return into ?? new Uint8Array(bytes)
}

/** The part of the window that lies inside the resized image. */
function visible(window: PixelBox, size: { width: number; height: number }): PixelBox {
  const x = Math.max(0, window.x)
  const y = Math.max(0, window.y)
  return {
    x,
    y,
    width: Math.min(size.width, window.x + window.width) - x,
    height: Math.min(size.height, window.y + window.height) - y,
  }
}

/** Copies `part` into `out`, where its top left corner lies at `x`, `y`. */
function place(part: Pixels, out: Pixels, { x, y }: { readonly x: number; readonly y: number }): void {
  for (let row = 0; row < part.height; row++) {
    const from = row * part.width * 3
    out.data.set(part.data.subarray(from, from + part.width * 3), ((y + row) * out.width + x) * 3)
  }
}

/** A copy of the rectangle. */
function cutWindow(pixels: Pixels, window: PixelBox): Pixels {
  const data = new Uint8Array(window.width * window.height * 3)
  for (let row = 0; row < window.height; row++) {
    const from = ((window.y + row) * pixels.width + window.x) * 3
    data.set(pixels.data.subarray(from, from + window.width * 3), row * window.width * 3)
  }
  return { data, width: window.width, height: window.height }
}

/**
 * The geometry of a recipe: resize, crop, pad. Only the rows and columns that the crop keeps are computed.
 * @returns `uint8 [height, width, 3]` of the recipe's size, in `into` where given
 */
export function applyRecipe(pixels: Pixels, recipe: Recipe, into?: Uint8Array): Uint8Array {
  const out = outputOf(recipe, into)
  const { resize } = recipe
  const target = resizedSize(resize, pixels)
  const window = cropWindow(recipe.crop, target)
  const seen = visible(window, target)
  const whole = seen.width === window.width && seen.height === window.height
  const same = target.width === pixels.width && target.height === pixels.height
  let part: Pixels
  if (resize.mode === 'none' || same) part = cutWindow(pixels, seen)
  else {
    const { filter, antialias } = resize
    part = resample(pixels, target, { filter, antialias, window: seen, out: whole ? out : undefined })
  }
  if (part.data === out) return out
  if (!whole) out.fill(0)
  const { width, height } = window
  place(part, { data: out, width, height }, { x: seen.x - window.x, y: seen.y - window.y })
  return out
}

/** Rows of a resized image that libvips may make before a crop; longer ones go the exact way. */
const maxFastPixels = 4_000_000

/** The image at the recipe's resized size by libvips, before its crop; undefined where only the exact way is right. */
async function fastResized(
  bytes: Uint8Array,
  recipe: Recipe,
  options: PrepareOptions,
): Promise<{ resized: Pixels; width: number; height: number } | undefined> {
  const { resize } = recipe
  if (resize.mode === 'none' || resize.filter !== 'bilinear' || !resize.antialias) return undefined
  const facts = inspect(bytes, options.name)
  if (facts.cmyk || facts.sixteenBit || facts.format === 'tiff') return undefined
  const direct = facts.size && facts.format !== 'gif' && !options.orient && !options.box ? facts.size : undefined
  const decoded = direct ? undefined : await decodeImage(bytes, options)
  const size = direct ?? decoded!
  const target = resizedSize(resize, size)
  if (target.width * target.height > maxFastPixels) return undefined
  restrictLoaders()
  const pipeline = decoded
    ? sharp(decoded.data, { raw: { width: decoded.width, height: decoded.height, channels: 3 } })
    : openImage(bytes)
  const { data, info } = await pipeline
    .removeAlpha()
    .resize({ ...target, fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false })
    .toColourspace('srgb')
    .raw()
    .timeout({ seconds: maxImageSeconds })
    .toBuffer({ resolveWithObject: true })
  const resized = toRgb({ data, width: info.width, height: info.height, channels: info.channels })
  return { resized, width: size.width, height: size.height }
}

async function finish(pixels: Uint8Array, size: Pixels, shown: Pixels, thumbnail: boolean): Promise<PreparedImage> {
  const { width, height } = size
  if (!thumbnail) return { pixels, width, height }
  const made: Thumbnail = await makeThumbnail(shown, { width, height })
  return { pixels, width, height, thumbnail: made.webp, dHash: made.dHash }
}

/**
 * An image's bytes to the pixels a backbone takes: decode, orientation, box, and the geometry of the recipe. Numbers
 * (scale, mean, std, channel order) are left to the graph.
 *
 * @throws Fc7Error with the codes of {@link decodeImage}
 * @example
 * const recipe = namedRecipe('torchvision', { width: 224, height: 224 })
 * const { pixels } = await prepareImage(await readFile('cat.jpg'), recipe) // Uint8Array of 224 * 224 * 3
 */
export async function prepareImage(
  bytes: Uint8Array,
  recipe: Recipe,
  options: PrepareOptions = {},
): Promise<PreparedImage> {
  const thumbnail = options.thumbnail ?? false
  try {
    if (options.resizeMode === 'fast') {
      const fast = await fastResized(bytes, recipe, options)
      if (fast) {
        const cropOnly: Recipe = { ...recipe, resize: { mode: 'none' }, crop: recipe.crop ?? wholeCrop(fast.resized) }
        const pixels = applyRecipe(fast.resized, cropOnly, options.into)
        return await finish(
          pixels,
          { ...fast.resized, width: fast.width, height: fast.height },
          fast.resized,
          thumbnail,
        )
      }
    }
    const decoded = await decodeImage(bytes, options)
    return await finish(applyRecipe(decoded, recipe, options.into), decoded, decoded, thumbnail)
  } catch (error) {
    throw decodeFailure(error, bytes, options.name)
  }
}

const wholeCrop = ({ width, height }: Pixels): NonNullable<Recipe['crop']> => ({ width, height, rounding: 'floor' })

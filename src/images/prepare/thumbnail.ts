import sharp from 'sharp'
import type { PixelSize } from '../recipe/recipe.js'
import { type Pixels, resample } from '../resample/resample.js'

/** The longer side of a thumbnail. */
export const thumbnailSidePixels = 48

export interface Thumbnail {
  readonly webp: Uint8Array
  /** 16 hex digits. */
  readonly dHash: string
}

/** Images are thinned to about this short side before they are averaged down: enough for 48 px, and cheap. */
const thinnedSidePixels = 192

/** The image at `target` size by box averages, after dropping rows and columns of which there are plenty. */
function shrink(pixels: Pixels, target: PixelSize): Pixels {
  const step = Math.floor(Math.min(pixels.width, pixels.height) / thinnedSidePixels)
  if (step < 2) return resample(pixels, target, { filter: 'box' })
  const thin = { width: Math.floor(pixels.width / step), height: Math.floor(pixels.height / step) }
  return resample(resample(pixels, thin, { filter: 'nearest' }), target, { filter: 'box' })
}

/**
 * The 64-bit difference hash: a grey image of 9 × 8, one bit where a pixel is brighter than its right neighbour, rows
 * from the top, the first bit the highest. Near duplicates differ in few bits.
 */
export function differenceHash(pixels: Pixels): string {
  const { data } = shrink(pixels, { width: 9, height: 8 })
  const grey = (i: number) => 299 * data[3 * i]! + 587 * data[3 * i + 1]! + 114 * data[3 * i + 2]!
  let hex = ''
  for (let row = 0; row < 8; row++) {
    let byte = 0
    for (let x = 0; x < 8; x++) byte = (byte << 1) | (grey(row * 9 + x) > grey(row * 9 + x + 1) ? 1 : 0)
    hex += byte.toString(16).padStart(2, '0')
  }
  return hex
}

/**
 * A WebP whose longer side is 48 px (smaller images are not enlarged) and the dHash.
 * @param shown the pixels, perhaps already squashed; `proportions` is the shape that the thumbnail gets
 */
export async function makeThumbnail(shown: Pixels, proportions: PixelSize): Promise<Thumbnail> {
  const scale = Math.min(1, thumbnailSidePixels / Math.max(proportions.width, proportions.height))
  const width = Math.max(1, Math.round(proportions.width * scale))
  const height = Math.max(1, Math.round(proportions.height * scale))
  const small = shrink(shown, { width, height })
  const webp = await sharp(small.data, { raw: { width, height, channels: 3 } })
    .webp({ quality: 70, effort: 0 })
    .toBuffer()
  return { webp: new Uint8Array(webp), dHash: differenceHash(shown) }
}

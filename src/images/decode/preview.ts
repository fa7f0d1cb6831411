import sharp from 'sharp'
import { decodeImage, type ImageBox, inspect, openImage } from './decode.js'
import { decodeFailure } from './decode-errors.js'

export interface PreviewOptions {
  /** The longer side; smaller images are not enlarged. */
  readonly sidePixels: number
  /** Of the WebP, 1 to 100. */
  readonly quality: number
  readonly orient?: boolean | undefined
  readonly box?: ImageBox | undefined
}

/**
 * An image made small for people to look at, as WebP: decoded within the limits of every image, scaled by the decoder
 * where it can (so not the pixels that a network sees).
 *
 * @throws Fc7Error as decodeImage
 */
export async function makePreview(bytes: Uint8Array, options: PreviewOptions): Promise<Uint8Array> {
  const { sidePixels: side, quality, orient = false, box } = options
  inspect(bytes)
  try {
    const image = box ? await cut(bytes, box, orient) : openImage(bytes, orient)
    const webp = await image
      .resize(side, side, { fit: 'inside', withoutEnlargement: true })
      .flatten({ background: '#808080' })
      .toColourspace('srgb')
      .webp({ quality, effort: 4 })
      .toBuffer()
    return new Uint8Array(webp)
  } catch (error) {
    throw decodeFailure(error, bytes)
  }
}

async function cut(bytes: Uint8Array, box: ImageBox, orient: boolean) {
  const { data, width, height } = await decodeImage(bytes, { box, orient })
  return sharp(data, { raw: { width, height, channels: 3 } })
}

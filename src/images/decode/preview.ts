import sharp from 'sharp'
import { decodeFailure, decodePicture, inspect, openPicture, type PictureBox } from './decode.js'

export interface PreviewOptions {
  /** The longer side; smaller pictures are not enlarged. */
  readonly sidePixels: number
  /** Of the WebP, 1 to 100. */
  readonly quality: number
  readonly orient?: boolean
  readonly box?: PictureBox
}

/**
 * A picture made small for people to look at, as WebP: decoded within the limits of every picture, scaled by the decoder where it can
 * (so not the pixels that a network sees).
 *
 * @throws Fc7Error as decodePicture
 */
export async function makePreview(bytes: Uint8Array, options: PreviewOptions): Promise<Uint8Array> {
  const { sidePixels: side, quality, orient = false, box } = options
  inspect(bytes)
  try {
    const picture = box ? await cut(bytes, box, orient) : openPicture(bytes, orient)
    const webp = await picture
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

async function cut(bytes: Uint8Array, box: PictureBox, orient: boolean) {
  const { data, width, height } = await decodePicture(bytes, { box, orient })
  return sharp(data, { raw: { width, height, channels: 3 } })
}

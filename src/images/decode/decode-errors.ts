import { Fc7Error, messageOf } from '../../base/errors.js'
import { endsEarly, sniff } from './sniff.js'

/** The limits of DESIGN's "Hostile input", for one image. */
export const maxImageBytes = 64 << 20
export const maxImagePixels = 100_000_000
export const maxImageSidePixels = 65_535
export const maxImageSeconds = 20

/** What errors call an image. */
export const named = (name: string | undefined): string => name ?? 'The image'

/**
 * The code that a failed decode becomes. What the decoder says is kept as the cause only: which sentence it is depends
 * on what other threads decode at the moment (see {@link endsEarly}), and equal input must give an equal list of
 * failures.
 */
export function decodeFailure(error: unknown, bytes: Uint8Array, name?: string): Fc7Error {
  if (error instanceof Fc7Error) return error
  const message = messageOf(error)
  if (/timeout/i.test(message)) {
    return new Fc7Error('IMAGE_TIMEOUT', `${named(name)} took longer than ${maxImageSeconds} s to decode.`, {
      hint: 'The file may be made to waste time; remove it or re-encode it.',
      cause: error,
    })
  }
  const facts = sniff(bytes)
  // Where the header gave the size, inspect() has checked it.
  if (!facts?.size && /exceeds pixel limit|too large|dimension/i.test(message)) return tooManyPixels(name)
  if (facts && endsEarly(bytes, facts.format)) {
    return new Fc7Error('IMAGE_TRUNCATED', `${named(name)} ends before the image does.`, {
      hint: 'Copy or download the file again.',
      cause: error,
    })
  }
  return new Fc7Error('IMAGE_CORRUPT', `${named(name)} is damaged and cannot be decoded.`, {
    hint: 'Re-encode the image with another program, or remove it.',
    cause: error,
  })
}

export function notAnImage(name?: string): Fc7Error {
  return new Fc7Error('IMAGE_NOT_AN_IMAGE', `${named(name)} is not a JPEG, PNG, WebP, GIF or TIFF.`, {
    hint: 'fc7 goes by the content, not the name; convert the image to one of these formats.',
  })
}

export function tooManyPixels(name?: string): Fc7Error {
  return new Fc7Error(
    'IMAGE_TOO_MANY_PIXELS',
    `${named(name)} has more than ${maxImagePixels / 1e6} megapixels or a side over ${maxImageSidePixels} pixels.`,
    { hint: 'Scale it down first.' },
  )
}

/** The error of a file over the limit, for those who know the size before they read. */
export function tooLarge(name: string | undefined, bytes: number): Fc7Error {
  return new Fc7Error(
    'IMAGE_TOO_LARGE',
    `${named(name)} has ${bytes} bytes; the limit is ${maxImageBytes} bytes (64 MiB).`,
    { hint: 'Re-encode the image.' },
  )
}

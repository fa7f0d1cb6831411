import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads'
import sharp, { type Metadata, type Sharp, type SharpOptions } from 'sharp'
import { Fc7Error } from '../../base/errors.js'
import type { Pixels } from '../resample/resample.js'
import {
  decodeFailure,
  maxImageBytes,
  maxImagePixels,
  maxImageSeconds,
  maxImageSidePixels,
  named,
  notAnImage,
  tooLarge,
  tooManyPixels,
} from './decode-errors.js'
import { gifOpen } from './gif.js'
import { type ImageFacts, sniff } from './sniff.js'

/** A detection box in pixels of the image (after orientation, if that is on). */
export interface ImageBox {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

export interface DecodeOptions {
  /** Turn the image as its EXIF orientation says. Default false, as Pillow's `Image.open`. */
  readonly orient?: boolean | undefined
  /** Cut this part out after decoding. Edges are rounded to whole pixels and clipped to the image. */
  readonly box?: ImageBox | undefined
  /** What errors call the image. */
  readonly name?: string | undefined
}

const allowed = ['Jpeg', 'Png', 'Webp', 'Nsgif', 'Tiff'].map((loader) => `VipsForeignLoad${loader}`)
const restricted = 'fc7.loaders-restricted'

/**
 * Closes every loader of libvips but five, once a process: an SVG or PDF named x.jpg must not be rendered. The list
 * belongs to the process, not the thread, and for a moment everything is closed: a thread that began while another
 * decoded would make it refuse good images. So whoever starts threads restricts first, and threads know from their
 * parent that it is done.
 */
export function restrictLoaders(): void {
  if (getEnvironmentData(restricted) === true) return
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({ operation: allowed })
  setEnvironmentData(restricted, true)
}

/**
 * Looks at an image's first bytes and refuses what must not reach a decoder.
 * @throws Fc7Error IMAGE_EMPTY, IMAGE_TOO_LARGE, IMAGE_NOT_AN_IMAGE, IMAGE_TOO_MANY_PIXELS
 */
export function inspect(bytes: Uint8Array, name?: string): ImageFacts {
  if (bytes.length === 0) {
    throw new Fc7Error('IMAGE_EMPTY', `${named(name)} is empty (0 bytes).`, {
      hint: 'Copy or download the file again.',
    })
  }
  if (bytes.length > maxImageBytes) throw tooLarge(name, bytes.length)
  const facts = sniff(bytes)
  if (!facts) throw notAnImage(name)
  if (facts.size) checkSize(facts.size.width, facts.size.height, name)
  return facts
}

function checkSize(width: number, height: number, name?: string): void {
  if (width * height > maxImagePixels || Math.max(width, height) > maxImageSidePixels) throw tooManyPixels(name)
}

/** A sharp pipeline on checked bytes: first frame, profile ignored, truncation an error, limits on. */
export function openImage(bytes: Uint8Array, orient = false): Sharp {
  restrictLoaders()
  const options: SharpOptions = {
    failOn: 'error',
    limitInputPixels: maxImagePixels,
    ignoreIcc: true,
    autoOrient: orient,
    animated: false,
    page: 0,
    sequentialRead: true,
  }
  return sharp(bytes, options).timeout({ seconds: maxImageSeconds })
}

/** Raw samples as sharp hands them out. */
interface Raw {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
  readonly channels: number
}

async function raw(pipeline: Sharp): Promise<Raw> {
  const { data, info } = await pipeline.toBuffer({ resolveWithObject: true })
  return { data, width: info.width, height: info.height, channels: info.channels }
}

/** Pillow's CMYK to RGB: no profile, (255 - ink) * (255 - black) / 255, rounded as its MULDIV255 does. */
function fromCmyk({ data, width, height, channels }: Raw): Pixels {
  const out = new Uint8Array(width * height * 3)
  for (let i = 0, p = 0; i < out.length; p += channels) {
    const paper = 255 - data[p + 3]!
    for (let c = 0; c < 3; c++) {
      const product = data[p + c]! * paper + 128
      out[i++] = Math.max(0, paper - (((product >> 8) + product) >> 8))
    }
  }
  return { data: out, width, height }
}

/** Grey (with or without alpha) three times; RGB with alpha without it. */
export function toRgb({ data, width, height, channels }: Raw): Pixels {
  if (channels === 3) return { data, width, height }
  const out = new Uint8Array(width * height * 3)
  const step = channels < 3 ? 0 : 1
  for (let i = 0, p = 0; i < out.length; p += channels) {
    out[i++] = data[p]!
    out[i++] = data[p + step]!
    out[i++] = data[p + 2 * step]!
  }
  return { data: out, width, height }
}

/** 16-bit grey by its high byte, as 16-bit RGB is narrowed. */
async function fromGrey16(pipeline: Sharp): Promise<Pixels> {
  const { data, width, height, channels } = await raw(pipeline.toColourspace('grey16').raw({ depth: 'ushort' }))
  const samples = new Uint16Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength))
  return toRgb({ data: Uint8Array.from(samples, (sample) => sample >> 8), width, height, channels })
}

/** A GIF's first frame; where it is transparent or open, the palette's colour rather than libvips' black. */
async function fromGif(pipeline: Sharp, bytes: Uint8Array): Promise<Pixels> {
  const { data, width, height, channels } = await raw(pipeline.toColourspace('srgb').raw())
  const pixels = toRgb({ data, width, height, channels })
  const open = gifOpen(bytes)
  const hasAlpha = channels === 2 || channels === 4
  const whole = open && open.frame.width >= width && open.frame.height >= height
  if (!open || (whole && !hasAlpha)) return pixels
  const { colour, frame } = open
  for (let i = 0, y = 0; y < height; y++) {
    const rowInside = y >= frame.y && y < frame.y + frame.height
    for (let x = 0; x < width; x++, i++) {
      const inside = rowInside && x >= frame.x && x < frame.x + frame.width
      if (!inside || (hasAlpha && data[i * channels + channels - 1] === 0)) pixels.data.set(colour, i * 3)
    }
  }
  return pixels
}

/** TIFF keeps its facts anywhere in the file: let the decoder's header reader tell. */
async function tiffFacts(pipeline: Sharp, facts: ImageFacts, name?: string): Promise<ImageFacts> {
  const header: Metadata = await pipeline.metadata()
  checkSize(header.width, header.height, name)
  const sixteenBit = header.space === 'grey16' || (header.depth === 'ushort' && header.channels < 3)
  return { ...facts, size: header, cmyk: header.space === 'cmyk', sixteenBit }
}

/** Cuts a box out. @throws Fc7Error IMAGE_BOX_OUTSIDE when nothing of it lies in the image */
export function cutBox(pixels: Pixels, box: ImageBox, name?: string): Pixels {
  const clip = (value: number, limit: number): number => Math.min(limit, Math.max(0, Math.round(value)))
  const x = clip(box.x, pixels.width)
  const y = clip(box.y, pixels.height)
  const width = clip(box.x + box.w, pixels.width) - x
  const height = clip(box.y + box.h, pixels.height) - y
  if (!(width > 0 && height > 0)) {
    throw new Fc7Error(
      'IMAGE_BOX_OUTSIDE',
      `The box ${box.x},${box.y},${box.w},${box.h} has no pixel in ${named(name)} (${pixels.width}×${pixels.height}).`,
      { hint: 'Boxes are x,y,w,h in pixels from the top left corner.' },
    )
  }
  const data = new Uint8Array(width * height * 3)
  for (let row = 0; row < height; row++) {
    const from = ((y + row) * pixels.width + x) * 3
    data.set(pixels.data.subarray(from, from + width * 3), row * width * 3)
  }
  return { data, width, height }
}

/**
 * Decodes JPEG, PNG, WebP, GIF (first frame) or TIFF (first page) to `uint8 [height, width, 3]` RGB as Pillow's
 * `Image.open(…).convert('RGB')` does: profiles ignored, alpha dropped without blending, CMYK without a profile,
 * palettes resolved. The one known difference is meant: 16-bit grey keeps its high byte, where Pillow clips nearly
 * everything to white.
 *
 * @throws Fc7Error IMAGE_EMPTY, IMAGE_TOO_LARGE, IMAGE_NOT_AN_IMAGE, IMAGE_TOO_MANY_PIXELS, IMAGE_TRUNCATED,
 * IMAGE_CORRUPT,
 *   IMAGE_TIMEOUT, IMAGE_BOX_OUTSIDE
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeOptions = {}): Promise<Pixels> {
  const { name, orient = false, box } = options
  const facts = inspect(bytes, name)
  try {
    const pixels = await decodeChecked(bytes, facts, orient, name)
    return box ? cutBox(pixels, box, name) : pixels
  } catch (error) {
    throw decodeFailure(error, bytes, name)
  }
}

async function decodeChecked(bytes: Uint8Array, given: ImageFacts, orient: boolean, name?: string): Promise<Pixels> {
  const pipeline = openImage(bytes, orient)
  const facts = given.format === 'tiff' ? await tiffFacts(pipeline, given, name) : given
  if (facts.cmyk) return fromCmyk(await raw(pipeline.pipelineColourspace('cmyk').toColourspace('cmyk').raw()))
  if (facts.sixteenBit) return fromGrey16(pipeline)
  if (facts.format === 'gif') return fromGif(pipeline, bytes)
  return toRgb(await raw(pipeline.removeAlpha().toColourspace('srgb').raw()))
}

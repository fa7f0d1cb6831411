import { createHash } from 'node:crypto'
import { Fc7Error, messageOf } from '../../base/errors.js'
import { applyAugmentation } from '../augment/augment.js'
import { decodeImage } from '../decode/decode.js'
import { readImageFile } from '../decode/read-image.js'
import { prepareImage } from '../prepare/prepare.js'
import { makeThumbnail } from '../prepare/thumbnail.js'
import { recipeSize } from '../recipe/recipe-size.js'
import type { Pixels } from '../resample/resample.js'
import type { DecodedImage, DecodeFailure, DecodeResult, DecodeSettings, DecodeTask } from './decode-requests.js'

/** A failure as plain data, for {@link DecodeResult}. */
export function failureOf(error: unknown): DecodeFailure {
  const known = error instanceof Fc7Error ? error : undefined
  return { ok: false, code: known?.code ?? 'IMAGE_FAILED', message: messageOf(error), hint: known?.hint ?? '' }
}

/** An image as it was decoded last, for the next view of it. */
interface Held {
  readonly key: string
  readonly pixels: Pixels
  readonly sha256: string | undefined
  readonly bytes: number
}

/** Larger images are decoded once a view rather than kept: 48 MB a thread. */
const maxHeldPixels = 16_000_000
let held: Held | undefined

async function read(task: DecodeTask): Promise<{ readonly bytes: Uint8Array; readonly name: string | undefined }> {
  const path = task.path instanceof Uint8Array ? Buffer.from(task.path) : task.path
  if (path === undefined && !task.bytes) throw new Fc7Error('IMAGE_MISSING', 'The task names no image.')
  const bytes = task.bytes ?? (await readImageFile(path!, task.range, task.range && task.name))
  return { bytes, name: task.name ?? (path === undefined ? undefined : String(path)) }
}

const hashOf = (bytes: Uint8Array, settings: DecodeSettings): string | undefined =>
  settings.hash ? createHash('sha256').update(bytes).digest('hex') : undefined

const decodeOptions = (task: DecodeTask, settings: DecodeSettings, name: string | undefined) => ({
  ...(settings.orient ? { orient: true } : {}),
  box: task.box,
  name,
})

/**
 * Decodes for a drawn view; of several views of one image (one `key`) that follow each other, only the first is
 * decoded.
 */
async function decodeForView(task: DecodeTask, settings: DecodeSettings): Promise<Omit<Held, 'key'>> {
  if (task.key !== undefined && held?.key === task.key) return held
  held = undefined
  const { bytes, name } = await read(task)
  const pixels = await decodeImage(bytes, decodeOptions(task, settings, name))
  const decoded = { pixels, sha256: hashOf(bytes, settings), bytes: bytes.length }
  if (task.key !== undefined && pixels.width * pixels.height <= maxHeldPixels) held = { ...decoded, key: task.key }
  return decoded
}

async function makeView(task: DecodeTask, settings: DecodeSettings, into: Uint8Array): Promise<DecodedImage> {
  const { pixels, sha256, bytes } = await decodeForView(task, settings)
  applyAugmentation(pixels, task.augmentation!, settings.recipe, into)
  const { width, height } = pixels
  const wanted = task.thumbnail ?? settings.thumbnail ?? false
  const shown = wanted ? await makeThumbnail(pixels, { width, height }) : undefined
  return {
    ok: true,
    bytes,
    width,
    height,
    sha256,
    ...(shown ? { thumbnail: shown.webp, dHash: shown.dHash } : {}),
  }
}

async function makePlain(task: DecodeTask, settings: DecodeSettings, into: Uint8Array): Promise<DecodedImage> {
  const { bytes, name } = await read(task)
  const sha256 = hashOf(bytes, settings)
  const { pixels: _, ...prepared } = await prepareImage(bytes, settings.recipe, {
    ...decodeOptions(task, settings, name),
    into,
    resizeMode: settings.resizeMode ?? 'exact',
    thumbnail: task.thumbnail ?? settings.thumbnail ?? false,
  })
  return { ok: true, bytes: bytes.length, sha256, ...prepared }
}

/** What a decoding thread does with one task. Never throws: a bad image is a result too. */
export async function runDecodeTask(task: DecodeTask, settings: DecodeSettings): Promise<DecodeResult> {
  try {
    const { width, height } = recipeSize(settings.recipe)
    const { slot } = task
    const size = width * height * 3
    const into = slot ? new Uint8Array(slot.buffer, slot.byteOffset, size) : new Uint8Array(size)
    const image = await (task.augmentation ? makeView(task, settings, into) : makePlain(task, settings, into))
    return slot ? image : { ...image, pixels: into }
  } catch (error) {
    return failureOf(error)
  }
}

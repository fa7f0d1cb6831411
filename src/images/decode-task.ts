import { createHash } from 'node:crypto'
import { Fc7Error, messageOf } from '../base/errors.js'
import { applyAugmentation } from './augment.js'
import { decodePicture } from './decode.js'
import type { DecodeFailure, DecodeResult, DecodeSettings, DecodeTask } from './decode-protocol.js'
import { preparePicture } from './prepare.js'
import { readPictureFile } from './read-picture.js'
import { recipeSize } from './recipe.js'

/** A failure as plain data, for {@link DecodeResult}. */
export function failureOf(error: unknown): DecodeFailure {
  const known = error instanceof Fc7Error ? error : undefined
  return { ok: false, code: known?.code ?? 'IMAGE_FAILED', message: messageOf(error), hint: known?.hint ?? '' }
}

/** What a decoding thread does with one task. Never throws: a bad picture is a result too. */
export async function runDecodeTask(task: DecodeTask, settings: DecodeSettings): Promise<DecodeResult> {
  try {
    const path = task.path instanceof Uint8Array ? Buffer.from(task.path) : task.path
    if (path === undefined && !task.bytes) throw new Fc7Error('IMAGE_MISSING', 'The task names no picture.')
    const bytes = task.bytes ?? (await readPictureFile(path!))
    const name = task.name ?? (path === undefined ? undefined : String(path))
    const size = recipeSize(settings.recipe)
    const { slot } = task
    const into = slot
      ? new Uint8Array(slot.buffer, slot.byteOffset, size.width * size.height * 3)
      : new Uint8Array(size.width * size.height * 3)
    const shared = {
      ...(settings.orient ? { orient: true } : {}),
      ...(task.box ? { box: task.box } : {}),
      ...(name === undefined ? {} : { name }),
    }
    const sha256 = settings.hash ? createHash('sha256').update(bytes).digest('hex') : undefined
    const common = {
      ok: true,
      bytes: bytes.length,
      ...(sha256 ? { sha256 } : {}),
      ...(slot ? {} : { pixels: into }),
    } as const
    if (task.augmentation) {
      const decoded = await decodePicture(bytes, shared)
      applyAugmentation(decoded, task.augmentation, settings.recipe, into)
      return { ...common, width: decoded.width, height: decoded.height }
    }
    const { pixels: _, ...prepared } = await preparePicture(bytes, settings.recipe, {
      ...shared,
      into,
      resizeMode: settings.resizeMode ?? 'exact',
      thumbnail: settings.thumbnail ?? false,
    })
    return { ...common, ...prepared }
  } catch (error) {
    return failureOf(error)
  }
}

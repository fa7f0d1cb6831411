import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tinyModel, writeTinyImages } from '../support/tiny.js'

/**
 * A temporary folder with the tiny network, images of three colours and a cache of its own, and how `fc7 finetune`
 * begins there.
 */
export async function openTuneFolder() {
  const root = await mkdtemp(join(tmpdir(), 'fc7-tune-'))
  const file = (...path: string[]): string => join(root, ...path)
  await writeFile(file('tiny.onnx'), tinyModel())
  await writeTinyImages(file('photos'), { train: 12, test: 5 })
  return {
    root,
    file,
    env: { FC7_CACHE: file('cache') },
    base: (source = 'photos', model = 'tiny.onnx'): string[] => [
      'finetune',
      file(source),
      '--model',
      file(model),
      '--recipe',
      'torchvision',
    ],
  }
}

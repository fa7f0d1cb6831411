import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from '@jest/globals'
import type { DatasetItem } from '../../src/datasets/contract.js'
import { augmentationOf, parseOptions } from '../../src/finetune/plan/options.js'
import { Images } from '../../src/finetune/train/images.js'
import { runDecodeTask } from '../../src/images/pool/decode-task.js'
import { namedRecipe } from '../../src/images/recipe/recipe.js'
import { tinySide } from '../support/tiny.js'
import { openWorkshop } from './tune.js'

let shop: Awaited<ReturnType<typeof openWorkshop>>
beforeAll(async () => {
  shop = await openWorkshop()
})
afterAll(() => rm(shop.root, { recursive: true, force: true }))

const recipe = namedRecipe('torchvision', { width: tinySide, height: tinySide })
const bytes = tinySide * tinySide * 3

async function rows(options: Record<string, unknown>, ...views: (number | undefined)[]): Promise<Uint8Array[]> {
  const items: DatasetItem[] = ['red/0.png', 'blue/1.png'].map((name) => ({
    id: name,
    path: name,
    size: 1,
    load: { kind: 'file', path: join(shop.root, 'photos', 'train', name) },
  }))
  const parsed = parseOptions(options)
  const images = new Images(items, {
    recipe,
    width: tinySide,
    height: tinySide,
    threads: 1,
    orient: false,
    seed: parsed.seed,
    augmentation: augmentationOf(parsed),
  })
  const made: Uint8Array[] = []
  for (const view of views) made.push(new Uint8Array((await images.rows([0, 1], view)).data))
  await images.close()
  return made
}

it('a view of an image is a function of seed, epoch and image, and without one it is what the recipe makes', async () => {
  const [plain, first, second, again] = await rows({ seed: 4 }, undefined, 0, 1, 0)
  expect(again).toEqual(first)
  expect([second, plain]).not.toContainEqual(first)
  expect(first!.subarray(0, bytes)).not.toEqual(first!.subarray(bytes))
  const [other] = await rows({ seed: 5 }, 0)
  expect(other).not.toEqual(first)
  const path = join(shop.root, 'photos', 'train', 'red', '0.png')
  const alone = await runDecodeTask({ path }, { recipe, hash: false, thumbnail: false })
  if (!alone.ok) throw new Error('not read')
  expect(plain!.subarray(0, bytes)).toEqual(new Uint8Array(alone.pixels!.buffer, 0, bytes))
  expect((await readFile(path)).length).toBeGreaterThan(0)
})

it('what is asked for beside crops reaches the pixels', async () => {
  const [mild] = await rows({}, 0)
  const [grey] = await rows({ grayscale: 1 }, 0)
  const apart = (pixels: Uint8Array) =>
    pixels.filter((value, i) => i % 3 > 0 && Math.abs(value - pixels[i - (i % 3)]!) > 1).length
  expect(apart(grey!)).toBe(0)
  expect(apart(mild!)).toBeGreaterThan(bytes / 3)
  const [erased] = await rows({ randomErasing: 1 }, 0)
  const changed = mild!.filter((value, i) => value !== erased![i]).length / mild!.length
  // A rectangle of 2 to 20 % of each image.
  expect(changed).toBeGreaterThan(0.01)
  expect(changed).toBeLessThan(0.25)
  const [turned] = await rows({ rotation: 40 }, 0)
  expect(mild!.filter((value, i) => Math.abs(value - turned![i]!) > 5).length / mild!.length).toBeGreaterThan(0.3)
})

import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { applyAugmentation } from '../../../src/images/augment/augment.js'
import {
  type AugmentationPlan,
  type AugmentationSettings,
  defaultAugmentation,
  planAugmentation,
  planViews,
  sixteenViews,
  tenCropViews,
} from '../../../src/images/augment/augment-plan.js'
import { runDecodeTask } from '../../../src/images/pool/decode-task.js'
import { applyRecipe } from '../../../src/images/prepare/prepare.js'
import { namedRecipe, type Recipe } from '../../../src/images/recipe/recipe.js'
import type { Pixels } from '../../../src/images/resample/resample.js'

const fixtures = new URL('../../fixtures/images/', import.meta.url)
const bytes = new Uint8Array(readFileSync(new URL('augment.bin', fixtures)))
const record = JSON.parse(readFileSync(new URL('augment.json', fixtures), 'utf8')) as {
  width: number
  height: number
  net: number
  short: number
  cases: { name: string; offset: number; box?: [number, number, number, number]; factor?: number }[]
}
const { width, height, net } = record
const image: Pixels = { width, height, data: bytes.slice(0, width * height * 3) }
const recipe: Recipe = namedRecipe('torchvision', { width: net, height: net })
const size = net * net * 3
const plain = tenCropViews()[0]!
const referenceOf = (offset: number) => bytes.subarray(offset, offset + size)
const casesOf = (name: string) => record.cases.filter((item) => item.name === name)

function differences(a: Uint8Array, b: Uint8Array): { worst: number; mean: number } {
  let [worst, sum] = [0, 0]
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!)
    worst = Math.max(worst, difference)
    sum += difference
  }
  return { worst, mean: sum / a.length }
}

describe('views against torchvision on Pillow images', () => {
  it('ten-crop: no difference', () => {
    expect(recipe.resize).toMatchObject({ size: record.short })
    tenCropViews().forEach((plan, i) => {
      const { offset } = casesOf(`ten-crop ${i}`)[0]!
      expect([i, differences(applyAugmentation(image, plan, recipe), referenceOf(offset))]).toEqual([
        i,
        { worst: 0, mean: 0 },
      ])
    })
  })

  it('resized crops: no difference', () => {
    for (const { offset, box } of casesOf('resized')) {
      const [x, y, w, h] = box!
      const crop = {
        kind: 'resized' as const,
        area: (w * h) / (width * height),
        aspect: w / h,
        u: w === width ? 0 : x / (width - w),
        v: h === height ? 0 : y / (height - h),
      }
      expect(differences(applyAugmentation(image, { ...plain, crop }, recipe), referenceOf(offset)).worst).toBe(0)
    }
  })

  it.each(['brightness', 'contrast', 'saturation', 'grayscale'])('%s: within one level', (name) => {
    for (const { offset, factor } of casesOf(name)) {
      const change = name === 'grayscale' ? { grayscale: true } : { [name]: factor }
      expect(
        differences(applyAugmentation(image, { ...plain, ...change }, recipe), referenceOf(offset)).worst,
      ).toBeLessThanOrEqual(1)
    }
  })

  it('a turn: within two levels inside the circle that no corner turns into', () => {
    for (const { offset, factor } of casesOf('rotation')) {
      const turned = applyAugmentation(image, { ...plain, rotationDegrees: factor! }, recipe)
      const reference = referenceOf(offset)
      let worst = 0
      for (let y = 0; y < net; y++) {
        for (let x = 0; x < net; x++) {
          if (Math.hypot(x - (net - 1) / 2, y - (net - 1) / 2) > net / 2 - 2) continue
          for (let c = 0; c < 3; c++)
            worst = Math.max(worst, Math.abs(turned[(y * net + x) * 3 + c]! - reference[(y * net + x) * 3 + c]!))
        }
      }
      expect(worst).toBeLessThanOrEqual(2)
    }
  })

  it('hue leaves grey and a whole turn alone', () => {
    const grey: Pixels = { ...image, data: image.data.map((_, i) => image.data[i - (i % 3)]!) }
    const before = applyAugmentation(grey, plain, recipe)
    expect(
      differences(applyAugmentation(grey, { ...plain, hueDegrees: 77 }, recipe), before).worst,
    ).toBeLessThanOrEqual(1)
    const whole = applyAugmentation(image, { ...plain, hueDegrees: 360 }, recipe)
    expect(differences(whole, applyAugmentation(image, plain, recipe)).worst).toBeLessThanOrEqual(1)
    expect(differences(applyAugmentation(image, { ...plain, hueDegrees: 60 }, recipe), before).mean).toBeGreaterThan(5)
  })

  it('an erased rectangle has its colour, the rest is untouched', () => {
    const erase = { x: 0.25, y: 0.5, w: 0.5, h: 0.25, colour: [1, 2, 3] as const }
    const view = applyAugmentation(image, { ...plain, erase }, recipe)
    const before = applyRecipe(image, recipe)
    let erased = 0
    for (let i = 0; i < size; i += 3) {
      const [x, y] = [(i / 3) % net, Math.floor(i / 3 / net)]
      const inside = x >= 6 && x < 18 && y >= 12 && y < 18
      if (inside) erased++
      expect([...view.subarray(i, i + 3)]).toEqual(inside ? [1, 2, 3] : [...before.subarray(i, i + 3)])
    }
    expect(erased).toBe(72)
  })
})

describe('planned augmentation', () => {
  const all: AugmentationSettings = {
    ...defaultAugmentation,
    rotationDegrees: 10,
    hueDegrees: 20,
    grayscale: 0.3,
    randomErasing: 0.5,
  }
  const many = (settings = all): AugmentationPlan[] =>
    Array.from({ length: 2000 }, (_, i) => planAugmentation(1, i % 7, `image ${i}`, settings))

  it('is a pure function of seed, epoch and image; each of them changes it', () => {
    const a = planAugmentation(1, 2, 'x', all)
    many()
    expect(planAugmentation(1, 2, 'x', all)).toEqual(a)
    for (const other of [
      planAugmentation(2, 2, 'x', all),
      planAugmentation(1, 3, 'x', all),
      planAugmentation(1, 2, 'y', all),
    ])
      expect(other).not.toEqual(a)
  })

  it('draws within the settings, with their probabilities', () => {
    const plans = many()
    const share = (of: (plan: AugmentationPlan) => boolean) => plans.filter(of).length / plans.length
    expect(share((plan) => plan.flip)).toBeCloseTo(0.5, 1)
    expect(share((plan) => plan.grayscale)).toBeCloseTo(0.3, 1)
    expect(share((plan) => plan.erase !== null)).toBeCloseTo(0.5, 1)
    for (const { crop, rotationDegrees, brightness, hueDegrees } of plans) {
      if (crop.kind !== 'resized') throw new Error(crop.kind)
      expect(crop.area >= 0.35 && crop.area <= 1 && crop.aspect >= 0.75 && crop.aspect <= 4 / 3).toBe(true)
      expect(Math.abs(rotationDegrees) <= 10 && Math.abs(hueDegrees) <= 20 && Math.abs(brightness - 1) <= 0.2).toBe(
        true,
      )
    }
  })

  it('one setting moves no other draw', () => {
    const without = many({ ...all, grayscale: 0, randomErasing: 0, rotationDegrees: 0 })
    many().forEach((plan, i) => {
      expect({ ...plan, grayscale: false, erase: null, rotationDegrees: 0 }).toEqual({
        ...without[i]!,
        rotationDegrees: 0,
      })
    })
  })

  it('makes a view of any image, however small or long', () => {
    for (const [w, h] of [
      [1, 1],
      [3000, 1],
      [2, 900],
      [24, 24],
    ] as const) {
      const odd: Pixels = { width: w, height: h, data: new Uint8Array(w * h * 3).fill(77) }
      for (const plan of [...many().slice(0, 20), ...tenCropViews(), ...sixteenViews()]) {
        expect(applyAugmentation(odd, { ...plan, erase: null }, recipe)).toHaveLength(size)
      }
    }
  })

  it('training views begin with the image itself; sixteen views are eight and their mirror images', () => {
    const views = planViews(3, 'x', 4)
    expect(views).toHaveLength(4)
    expect(differences(applyAugmentation(image, views[0]!, recipe), applyRecipe(image, recipe)).worst).toBe(0)
    expect(new Set(views.map((view) => JSON.stringify(view))).size).toBe(4)
    const sixteen = sixteenViews()
    expect(sixteen).toHaveLength(16)
    expect(sixteen.slice(8)).toEqual(sixteen.slice(0, 8).map((view) => ({ ...view, flip: true })))
    // Five parts with four ninths of the image's area: two thirds of each side.
    expect(sixteen.slice(1, 6).map(({ crop }) => crop.kind === 'part' && Math.sqrt(crop.area))).toEqual(
      new Array(5).fill(2 / 3),
    )
  })
})

describe('views in a decoding thread', () => {
  it('several views of one key are those of the image, and a thumbnail comes when it is asked for', async () => {
    const path = new URL('../../../docs/report.png', import.meta.url).pathname
    const settings = { recipe, hash: true, thumbnail: true }
    const views = tenCropViews()
    const alone = await runDecodeTask({ path, augmentation: views[3]! }, settings)
    for (const [i, augmentation] of views.entries()) {
      const result = await runDecodeTask({ path, augmentation, key: 'k', thumbnail: i === 0 }, settings)
      if (!result.ok || !alone.ok) throw new Error('not read')
      expect([i, 'thumbnail' in result, result.sha256]).toEqual([i, i === 0, alone.sha256])
      if (i === 3) expect(differences(result.pixels!, alone.pixels!).worst).toBe(0)
    }
  })
})

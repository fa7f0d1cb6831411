import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { decodeImage } from '../../../src/images/decode/decode.js'
import { prepareImage } from '../../../src/images/prepare/prepare.js'
import { namedRecipe, parseRecipe, type Recipe, recipeNames } from '../../../src/images/recipe/recipe.js'
import { recipeSize } from '../../../src/images/recipe/recipe-size.js'

const fixtures = new URL('../../fixtures/images/', import.meta.url)
const bytes = new Uint8Array(readFileSync(new URL('recipes.bin', fixtures)))
const record = JSON.parse(readFileSync(new URL('recipes.json', fixtures), 'utf8')) as {
  width: number
  height: number
  cases: { name: string; offset: number; bytes: number; width: number; height: number; orient: boolean }[]
  /** Side of the network's input for the whole recipes. */
  net: number
  images: { width: number; height: number; offset: number; bytes: number }[]
  wholes: { recipe: string; image: number; offset: number }[]
}
const side = 32
const recipe: Recipe = {
  ...namedRecipe('torchvision', { width: side, height: side }),
  resize: { mode: 'short-side', size: 36, filter: 'bilinear', antialias: true, longSide: 'truncate' },
}
const fileOf = (name: string) => {
  const found = record.cases.find((item) => item.name === name)!
  return bytes.slice(found.offset, found.offset + found.bytes)
}

describe('named recipes, numbers included, against the libraries whose conventions they follow', () => {
  for (const { recipe: name, image, offset } of record.wholes) {
    const { width, height, offset: at, bytes: length } = record.images[image]!
    it(`${name} of ${width}x${height}: within one rounding step of the grey levels`, async () => {
      const { net } = record
      const { channelOrder, scale, mean, std, ...geometry } = namedRecipe(name, { width: net, height: net })
      const whole = { channelOrder, scale, mean, std, ...geometry }
      const { pixels } = await prepareImage(bytes.slice(at, at + length), whole)
      const reference = new Float32Array(bytes.slice(offset, offset + net * net * 12).buffer)
      const worst = [0, 0, 0]
      for (let i = 0; i < reference.length; i++) {
        const c = i % 3
        const value = (pixels[i - c + (channelOrder === 'BGR' ? 2 - c : c)]! * scale - mean[c]!) / std[c]!
        worst[c] = Math.max(worst[c]!, (Math.abs(value - reference[i]!) * std[c]!) / scale)
      }
      // In grey levels. Where the reference rounds as fc7 does, there is nothing but float32's own error.
      const limit = name === 'keras-squash' ? 0.5 : name === 'caffe' ? 1 : 0
      expect(Math.max(...worst)).toBeLessThan(limit + 1e-3)
    })
  }
})

describe('images of every colour model against Pillow and torchvision', () => {
  for (const { name, offset, bytes: length, orient, ...size } of record.cases) {
    it(`${name}: no difference`, async () => {
      const { pixels, width, height } = await prepareImage(bytes.slice(offset, offset + length), recipe, { orient })
      expect({ width, height }).toEqual(size)
      const reference = bytes.subarray(offset + length, offset + length + side * side * 3)
      const worst = pixels.reduce((most, value, i) => Math.max(most, Math.abs(value - reference[i]!)), 0)
      expect(worst).toBe(0)
    })
  }

  it('turns an image by its EXIF orientation only when asked', async () => {
    const flat = await decodeImage(fileOf('EXIF-rotated JPEG'))
    const turned = await decodeImage(fileOf('EXIF-rotated JPEG'), { orient: true })
    expect([flat.width, flat.height]).toEqual([record.width, record.height])
    expect([turned.width, turned.height]).toEqual([record.height, record.width])
    // Orientation 6: the top left corner goes to the top right.
    expect([...turned.data.subarray((turned.width - 1) * 3, turned.width * 3)]).toEqual([...flat.data.subarray(0, 3)])
  })

  it('cuts a box out before the resize, and says when it lies outside', async () => {
    const whole = await decodeImage(fileOf('colour JPEG'))
    const part = await decodeImage(fileOf('colour JPEG'), { box: { x: 50, y: 10.4, w: 20, h: 5 } })
    expect([part.width, part.height]).toEqual([7, 5])
    const at = (10 * whole.width + 50) * 3
    expect([...part.data.subarray(0, 3)]).toEqual([...whole.data.subarray(at, at + 3)])
    await expect(decodeImage(fileOf('colour JPEG'), { box: { x: 900, y: 0, w: 5, h: 5 } })).rejects.toMatchObject({
      code: 'IMAGE_BOX_OUTSIDE',
    })
  })

  it('makes nearly the same of an image the fast way', async () => {
    for (const name of ['colour JPEG', 'CMYK JPEG', 'lossy WebP', '16-bit grey PNG']) {
      const exact = await prepareImage(fileOf(name), recipe)
      const fast = await prepareImage(fileOf(name), recipe, { resizeMode: 'fast', thumbnail: true })
      const sum = exact.pixels.reduce((total, value, i) => total + Math.abs(value - fast.pixels[i]!), 0)
      expect(sum / exact.pixels.length).toBeLessThan(2)
      expect([fast.width, fast.height]).toEqual([record.width, record.height])
    }
  })

  it('makes a WebP thumbnail and a hash that a small change hardly moves', async () => {
    const a = await prepareImage(fileOf('colour JPEG'), recipe, { thumbnail: true })
    const b = await prepareImage(fileOf('lossy WebP'), recipe, { thumbnail: true })
    const thumbnail = await decodeImage(a.thumbnail!)
    expect([thumbnail.width, thumbnail.height]).toEqual([48, 35])
    expect(a.dHash).toMatch(/^[0-9a-f]{16}$/)
    const bits = (BigInt(`0x${a.dHash}`) ^ BigInt(`0x${b.dHash}`)).toString(2).replaceAll('0', '').length
    expect(bits).toBeLessThanOrEqual(10)
  })

  it('writes into a slot of a shared buffer', async () => {
    const shared = new Uint8Array(new SharedArrayBuffer(side * side * 3 * 2))
    const into = shared.subarray(side * side * 3)
    await prepareImage(fileOf('colour JPEG'), recipe, { into })
    expect(shared.subarray(0, side * side * 3).every((value) => value === 0)).toBe(true)
    expect([...into]).toEqual([...(await prepareImage(fileOf('colour JPEG'), recipe)).pixels])
    const wrong = prepareImage(fileOf('colour JPEG'), recipe, { into: new Uint8Array(5) })
    await expect(wrong).rejects.toMatchObject({ code: 'IMAGE_SLOT_SIZE' })
  })
})

describe('recipes as data', () => {
  it('names five, each of the size that is asked', () => {
    for (const name of recipeNames) {
      expect(recipeSize(namedRecipe(name, { width: 227, height: 227 }))).toEqual({ width: 227, height: 227 })
    }
    expect(namedRecipe('torchvision', { width: 299, height: 299 }).resize).toMatchObject({ size: 342 })
    expect(namedRecipe('caffe', { width: 227, height: 227 }).resize).toMatchObject({ width: 256, height: 256 })
    expect(namedRecipe('keras-caffe', { width: 224, height: 224 })).toMatchObject({ channelOrder: 'BGR', scale: 1 })
  })

  it('refuses what cannot work, naming the field', () => {
    expect(() => namedRecipe('imagenet', { width: 224, height: 224 })).toThrow(/no recipe named "imagenet"/)
    expect(() => parseRecipe({ ...recipe, std: [1, 0, 1] })).toThrow(/std.1: must not be 0/)
    expect(() => parseRecipe({ ...recipe, crop: null })).toThrow(/crop: .*different sizes/)
    expect(() => parseRecipe({ ...recipe, extra: 1 })).toThrow(/extra/)
  })
})

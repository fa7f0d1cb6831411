import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import type { ResizeFilter } from '../../../src/images/recipe/recipe.js'
import { cropWindow, type Pixels, resample, resizedSize } from '../../../src/images/resample/resample.js'

const fixtures = new URL('../../fixtures/images/', import.meta.url)
const bytes = new Uint8Array(readFileSync(new URL('resample.bin', fixtures)))
const record = JSON.parse(readFileSync(new URL('resample.json', fixtures), 'utf8')) as {
  width: number
  height: number
  cases: { filter: ResizeFilter; antialias: boolean; width: number; height: number; offset: number }[]
}
const source: Pixels = {
  width: record.width,
  height: record.height,
  data: bytes.slice(0, record.width * record.height * 3),
}

function largestDifference(a: Uint8Array, b: Uint8Array): number {
  expect(a.length).toBe(b.length)
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0)
}

describe('resample', () => {
  for (const { filter, antialias, width, height, offset } of record.cases) {
    const reference = bytes.subarray(offset, offset + width * height * 3)
    const title = `${filter}${antialias ? '' : ' without antialias'} to ${width}x${height}`
    it(`${title} is the recorded ${antialias ? 'Pillow' : 'TensorFlow'} image`, () => {
      for (const wasm of [true, false]) {
        const { data } = resample(source, { width, height }, { filter, antialias, wasm })
        expect(largestDifference(data, reference)).toBeLessThanOrEqual(antialias ? 0 : 1)
      }
    })

    it(`${title}: a window is the same part of the whole`, () => {
      const window = { x: 2, y: 5, width: width - 3, height: height - 8 }
      const { data } = resample(source, { width, height }, { filter, antialias, window })
      const part = new Uint8Array(window.width * window.height * 3)
      const { data: whole } = resample(source, { width, height }, { filter, antialias })
      for (let row = 0; row < window.height; row++) {
        const from = ((row + window.y) * width + window.x) * 3
        part.set(whole.subarray(from, from + window.width * 3), row * window.width * 3)
      }
      expect(largestDifference(data, part)).toBe(0)
    })
  }

  it('reads large images by strips, with the same result as JavaScript', () => {
    const large: Pixels = { width: 1500, height: 1201, data: new Uint8Array(1500 * 1201 * 3) }
    for (let i = 0; i < large.data.length; i++) large.data[i] = Math.imul(i, 2654435761) >>> 24
    const target = { width: 320, height: 256 }
    const fast = resample(large, target, { filter: 'bicubic' })
    const slow = resample(large, target, { filter: 'bicubic', wasm: false })
    expect(largestDifference(fast.data, slow.data)).toBe(0)
  })

  it('writes into the array it is given, and nowhere else', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(8 * 6 * 3 + 20)).fill(9)
    const out = shared.subarray(10, 10 + 8 * 6 * 3)
    resample(source, { width: 8, height: 6 }, { filter: 'bilinear', out })
    expect(largestDifference(out, resample(source, { width: 8, height: 6 }, { filter: 'bilinear' }).data)).toBe(0)
    expect([...shared.subarray(0, 10), ...shared.subarray(-10)]).toEqual(new Array(20).fill(9))
  })
})

describe('geometry', () => {
  const short = { mode: 'short-side', size: 256, filter: 'bilinear', antialias: true } as const

  it('truncates or rounds the long side', () => {
    const image = { width: 500, height: 375 }
    expect(resizedSize({ ...short, longSide: 'truncate' }, image)).toEqual({ width: 341, height: 256 })
    const tall = { width: 427, height: 640 }
    expect(resizedSize({ ...short, longSide: 'truncate' }, tall)).toEqual({ width: 256, height: 383 })
    expect(resizedSize({ ...short, longSide: 'round' }, tall)).toEqual({ width: 256, height: 384 })
  })

  it('puts the half pixel of an odd margin where torchvision and Caffe put it', () => {
    const at = (rounding: 'half-even' | 'floor', width: number) =>
      cropWindow({ width: 224, height: 224, rounding }, { width, height: 256 }).x
    expect([at('half-even', 341), at('half-even', 227), at('half-even', 229)]).toEqual([58, 2, 2])
    expect([at('floor', 341), at('floor', 227), at('floor', 229)]).toEqual([58, 1, 2])
  })

  it('pads where the image is smaller than the crop', () => {
    expect(cropWindow({ width: 10, height: 10, rounding: 'half-even' }, { width: 7, height: 30 })).toEqual({
      x: -1,
      y: 10,
      width: 10,
      height: 10,
    })
  })
})

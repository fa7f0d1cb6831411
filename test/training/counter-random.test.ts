import { describe, expect, it } from '@jest/globals'
import { type Counter, counterKey, counterUniform, fillMask } from '../../src/training/counter-random.js'

const here: Counter = { seed: 5, epoch: 2, step: 70, image: 11, lane: 1 }
const draws = (counter: Counter): number[] =>
  Array.from({ length: 4 }, (_, place) => counterUniform(counterKey(counter), place))

describe('random numbers from a counter', () => {
  it('are the same whatever was drawn before, and others for every other seed, epoch, step, image and lane', () => {
    const first = draws(here)
    for (const field of ['seed', 'epoch', 'step', 'image', 'lane'] as const) {
      const other = draws({ ...here, [field]: here[field] + 1 })
      for (const [place, value] of other.entries()) expect(value).not.toBe(first[place])
    }
    // Seeds beyond 32 bits count as well.
    expect(draws({ ...here, seed: here.seed + 2 ** 32 })).not.toEqual(first)
    expect(draws(here)).toEqual(first)
  })

  it('are uniform over images, steps and places, and neighbours have nothing in common', () => {
    const of = (vary: (i: number) => number) => Array.from({ length: 4000 }, (_, i) => vary(i))
    const series = [
      of((i) => counterUniform(counterKey({ ...here, image: i }), 0)),
      of((i) => counterUniform(counterKey({ ...here, step: i }), 0)),
      of((i) => counterUniform(counterKey(here), i)),
    ]
    for (const values of series) {
      const tenths = new Array(10).fill(0)
      for (const value of values) tenths[Math.floor(value * 10)]++
      // Chi-square with 9 degrees of freedom: 27.9 is passed once in a thousand.
      expect(tenths.reduce((sum, n) => sum + (n - 400) ** 2 / 400, 0)).toBeLessThan(27.9)
      const products = values.slice(1).map((value, i) => (value - 0.5) * (values[i]! - 0.5) * 12)
      // Their mean has a standard error of 1 / √4000.
      expect(Math.abs(products.reduce((a, b) => a + b, 0) / products.length)).toBeLessThan(4 / Math.sqrt(4000))
    }
  })

  it('a mask drops the share that it should, within its own range only', () => {
    for (const rate of [0.1, 0.5, 0.9]) {
      const mask = new Uint8Array(10_002).fill(7)
      fillMask(mask.subarray(1, 10_001), rate, counterKey(here))
      expect([mask[0], mask[10_001]]).toEqual([7, 7])
      const kept = mask.subarray(1, 10_001).reduce((sum, bit) => sum + bit, 0)
      expect(Math.abs(kept / 10_000 - (1 - rate))).toBeLessThan(4 * Math.sqrt((rate * (1 - rate)) / 10_000))
    }
  })
})

import { describe, expect, it } from '@jest/globals'
import { nameText, splitOfShard } from '../../src/datasets/formats/names.js'
import { stratifiedHoldout } from '../../src/datasets/splits.js'
import { SeenTexts } from '../../src/datasets/unique.js'

const labels = Array.from({ length: 100 }, (_, i) => (i < 60 ? 'a' : i < 98 ? 'b' : 'rare'))

describe('a stratified holdout', () => {
  it('takes the fraction of every class, at least one, never all', () => {
    const { train, test } = stratifiedHoldout([...labels, 'single'], 0.25, 1)
    const count = (part: readonly number[], label: string): number =>
      part.filter((i) => ([...labels, 'single'][i] ?? '') === label).length
    expect([count(test, 'a'), count(test, 'b'), count(test, 'rare'), count(test, 'single')]).toEqual([15, 10, 1, 0])
    expect([...train, ...test].sort((a, b) => a - b)).toEqual(Array.from({ length: 101 }, (_, i) => i))
    expect(test).toEqual([...test].sort((a, b) => a - b))
  })

  it('depends on the seed alone, and one class does not move another', () => {
    expect(stratifiedHoldout(labels, 0.25, 1)).toEqual(stratifiedHoldout(labels, 0.25, 1))
    expect(stratifiedHoldout(labels, 0.25, 1)).not.toEqual(stratifiedHoldout(labels, 0.25, 2))
    const more = stratifiedHoldout([...labels, ...new Array(50).fill('new')], 0.25, 1).test.filter((i) => i < 100)
    expect(more).toEqual(stratifiedHoldout(labels, 0.25, 1).test)
  })

  it('keeps groups whole', () => {
    const groups = labels.map((_, i) => `g${Math.floor(i / 4)}`)
    const { train, test } = stratifiedHoldout(labels, 0.25, 3, groups)
    const inTest = new Set(test.map((i) => groups[i]))
    expect(train.some((i) => inTest.has(groups[i]!))).toBe(false)
    expect(test.length).toBeGreaterThan(15)
    expect(test.length).toBeLessThan(32)
    // Two large groups: one of them goes, although it is more than was asked for.
    expect(stratifiedHoldout(['a', 'a', 'a', 'a', 'a'], 0.1, 0, ['x', 'x', 'x', 'y', 'y']).test).toEqual([3, 4])
  })

  it('refuses what makes no sense', () => {
    for (const fraction of [0, 1, -1, Number.NaN])
      expect(() => stratifiedHoldout(labels, fraction, 0)).toThrow('between 0 and 1')
    expect(() => stratifiedHoldout(labels, 0.5, 0, ['x'])).toThrow('1 groups for 100 items')
  })
})

describe('small things', () => {
  it('keeps names that are not UTF-8 different', () => {
    expect(nameText(Buffer.from('ä\n.jpg'))).toBe('ä\n.jpg')
    expect(nameText(Buffer.from([0xff, 0x61]))).toBe('\\xffa')
    expect(nameText(Buffer.from([0xc3]))).toBe('\\xc3')
    expect(nameText(Buffer.from([0xe2, 0x82, 0x61, 0xc3, 0xa4]))).toBe('\\xe2\\x82aä')
  })

  it('knows splits by the beginnings of shard names', () => {
    expect(['train-00000-of-4', 'validation_1', 'test0', 'trainer-1', 'VAL.x', 'data-1'].map(splitOfShard)).toEqual([
      'train',
      'val',
      'test',
      undefined,
      'val',
      undefined,
    ])
  })

  it('remembers a hundred thousand texts without taking two for one', () => {
    const seen = new SeenTexts()
    let repeated = 0
    for (let i = 0; i < 100_000; i++) if (seen.has(`class/image-${i}.jpg`)) repeated++
    expect(repeated).toBe(0)
    for (let i = 0; i < 100_000; i += 997) expect(seen.has(`class/image-${i}.jpg`)).toBe(true)
    expect(seen.has('')).toBe(false)
    expect(seen.has('')).toBe(true)
  })
})

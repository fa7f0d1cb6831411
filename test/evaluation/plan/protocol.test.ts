import { describe, expect, it } from '@jest/globals'
import { itemsOf } from '../../../src/evaluation/plan/items.js'
import { describeProtocol, type FoldOptions, planFolds, protocolKinds } from '../../../src/evaluation/plan/protocol.js'
import { cloudTable } from '../tables.js'

const classes = ['a', 'b', 'c']
const splits = (item: number) => (item < 60 ? 'train' : item < 75 ? 'val' : 'test') as 'train'
const split = itemsOf(cloudTable({ classes, perClass: 40, split: splits }))
const bare = itemsOf(cloudTable({ classes, perClass: 40 }))
const grouped = itemsOf(cloudTable({ classes, perClass: 40, group: (item) => `camera ${item % 7}` }))
const plan = (items: typeof bare, options: Partial<FoldOptions> = {}) => planFolds(items, { seed: 1, ...options })

describe('groups of images', () => {
  it('an image under its own id is no group, but a group that is named after one of its images holds together', () => {
    const alone = itemsOf(cloudTable({ classes, perClass: 4, views: 1, group: (item) => `${item}.png` }))
    expect(alone.groups.every((group) => group === null)).toBe(true)
    const pairs = itemsOf(cloudTable({ classes, perClass: 4, group: (item) => `${item - (item % 2)}.png` }))
    expect(pairs.groups.slice(0, 4)).toEqual(['0.png', '0.png', '2.png', '2.png'])
  })
})

describe('protocols', () => {
  it('follow the data where nothing is asked', () => {
    expect(plan(split).protocol).toEqual({ kind: 'holdout', split: 'test', train: ['train', 'val'] })
    expect(plan(bare).protocol).toEqual({ kind: 'kfold', folds: 5, repeats: 1, grouped: false })
    expect(plan(grouped).protocol).toEqual({ kind: 'kfold', folds: 5, repeats: 1, grouped: true })
    expect(plan(split, { folds: 3 }).protocol.kind).toBe('kfold')
    expect(plan(split, { holdout: 'val' }).protocol).toEqual({ kind: 'holdout', split: 'val', train: ['train'] })
  })

  it.each(protocolKinds)('%s: no image and no group on two sides, and a sentence says what was done', (protocol) => {
    const items = protocol === 'holdout' ? split : protocol === 'leave-one-group-out' ? grouped : bare
    const { folds, protocol: found } = plan(items, { protocol, perClass: 5 })
    expect(found.kind).toBe(protocol)
    expect(describeProtocol(found)).toMatch(/^[A-Z0-9].*\.$/)
    for (const fold of folds) {
      const train = new Set(fold.train)
      expect(fold.test.some((item) => train.has(item))).toBe(false)
      const groups = new Set(fold.train.map((item) => items.groups[item]).filter((group) => group !== null))
      expect(fold.test.some((item) => groups.has(items.groups[item]!))).toBe(false)
    }
  })

  it('few-shot draws outside a test split and tests all of it each time', () => {
    const { folds, protocol } = plan(split, { protocol: 'few-shot', perClass: 2, draws: 4 })
    expect(protocol).toEqual({ kind: 'few-shot', perClass: 2, draws: 4, testSplit: true })
    for (const fold of folds) {
      expect(fold.train).toHaveLength(6)
      expect(fold.train.every((item) => split.splits[item] !== 'test')).toBe(true)
      expect(fold.test).toEqual(split.splits.flatMap((name, item) => (name === 'test' ? [item] : [])))
    }
    expect(new Set(folds.map((fold) => fold.train.join())).size).toBe(4)
  })

  it('a learning curve keeps the test side of the first repeat', () => {
    const { folds } = plan(bare, { folds: 3, repeats: 2, curve: [0.1, 0.4, 1] })
    const main = folds.filter((fold) => fold.purpose === 'main')
    const curve = folds.filter((fold) => fold.purpose === 'curve')
    expect([main.length, curve.length]).toEqual([6, 6])
    for (const fold of curve) {
      const parent = main.find((one) => one.repeat === fold.repeat && one.fold === fold.fold)!
      expect(fold.test).toEqual(parent.test)
      expect(fold.train.every((item) => parent.train.includes(item))).toBe(true)
      expect(fold.train.length / parent.train.length).toBeCloseTo(fold.fraction, 1)
    }
  })

  it('refuses what cannot be', () => {
    expect(() => plan(bare, { protocol: 'leave-one-group-out' })).toThrow('group for every image')
    expect(() => plan(bare, { holdout: 'test' })).toThrow('split "test"')
    expect(() => plan(bare, { protocol: 'decaf', perClass: 40 })).toThrow('too few images')
    expect(() => plan(bare, { folds: 121 })).toThrow('121')
  })
})

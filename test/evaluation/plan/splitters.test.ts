import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { foldBreaches } from '../../../src/evaluation/guards/guards.js'
import { decafFolds, fewShotFolds, learningCurveFolds } from '../../../src/evaluation/plan/fold-generators.js'
import { groupedFolds, holdoutFold, leaveOneGroupOut, stratifiedFolds } from '../../../src/evaluation/plan/splitters.js'

const labels = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 12, maxLength: 80 })
const shape = { folds: fc.integer({ min: 2, max: 6 }), repeats: fc.integer({ min: 1, max: 3 }), seed: fc.integer() }

const everyOnce = (folds: readonly { repeat: number; test: readonly number[] }[], items: number, repeats: number) => {
  for (let repeat = 0; repeat < repeats; repeat++) {
    const tested = folds.filter((fold) => fold.repeat === repeat).flatMap((fold) => fold.test)
    expect([...tested].sort((a, b) => a - b)).toEqual(Array.from({ length: items }, (_, i) => i))
  }
}

describe('stratified folds', () => {
  it('test every item once a repeat, classes and sizes within one', () => {
    fc.assert(
      fc.property(labels, shape.folds, shape.repeats, shape.seed, (y, folds, repeats, seed) => {
        const made = stratifiedFolds({ y }, { folds, repeats, seed })
        everyOnce(made, y.length, repeats)
        expect(foldBreaches(made, [])).toEqual([])
        for (let repeat = 0; repeat < repeats; repeat++) {
          const own = made.filter((fold) => fold.repeat === repeat)
          const within = (counts: number[]) => expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
          within(own.map((fold) => fold.test.length))
          for (let k = 0; k < 5; k++) within(own.map((fold) => fold.test.filter((i) => y[i] === k).length))
          for (const fold of own) expect(fold.train.length + fold.test.length).toBe(y.length)
        }
        expect(stratifiedFolds({ y }, { folds, repeats, seed })).toEqual(made)
      }),
    )
  })
  it('repeats differ, and too many folds are refused', () => {
    const y = Array.from({ length: 40 }, (_, i) => i % 2)
    const made = stratifiedFolds({ y }, { folds: 4, repeats: 2, seed: 1 })
    expect(made[0]!.test).not.toEqual(made[4]!.test)
    expect(() => stratifiedFolds({ y: [0, 1, 0] }, { folds: 5, seed: 1 })).toThrow('5 folds')
    expect(() => stratifiedFolds({ y }, { folds: 1, seed: 1 })).toThrow('no cross-validation')
  })
})

describe('grouped folds', () => {
  const grouped = labels.chain((y) =>
    fc.tuple(
      fc.constant(y),
      fc.array(fc.option(fc.integer({ min: 0, max: 30 }).map(String)), { minLength: y.length, maxLength: y.length }),
    ),
  )
  it('no group on two sides, every item once, no empty fold', () => {
    fc.assert(
      fc.property(grouped, shape.folds, shape.repeats, shape.seed, ([y, groups], folds, repeats, seed) => {
        const units = new Set(groups.filter((group) => group !== null)).size + groups.filter((g) => g === null).length
        fc.pre(units >= folds)
        const made = groupedFolds({ y, groups }, { folds, repeats, seed })
        everyOnce(made, y.length, repeats)
        expect(foldBreaches(made, groups)).toEqual([])
        for (const fold of made) expect(fold.test.length).toBeGreaterThan(0)
      }),
    )
  })
  it('keeps classes in proportion where groups allow it', () => {
    const y = Array.from({ length: 120 }, (_, i) => Math.floor(i / 4) % 3)
    const groups = y.map((_, i) => String(Math.floor(i / 4)))
    for (const fold of groupedFolds({ y, groups }, { folds: 5, seed: 4 }))
      for (let k = 0; k < 3; k++) expect(fold.test.filter((i) => y[i] === k).length).toBe(8)
  })
  it('leaves one group out after the other', () => {
    const made = leaveOneGroupOut({ y: [0, 1, 0, 1], groups: ['a', 'a', 'b', 'c'] })
    expect(made.map((fold) => fold.test)).toEqual([[0, 1], [2], [3]])
    expect(() => leaveOneGroupOut({ y: [0, 1], groups: ['a', null] })).toThrow('group for every image')
  })
})

describe('other protocols', () => {
  it('holdout fits on train and val and tests once', () => {
    const splits = ['train', 'val', 'test', null, 'train'] as const
    expect(holdoutFold(splits, 'test')).toMatchObject([{ train: [0, 1, 4], test: [2] }])
    expect(holdoutFold(splits, 'val')).toMatchObject([{ train: [0, 4], test: [1] }])
    expect(() => holdoutFold(['train', null], 'test')).toThrow('"test"')
  })
  it('a learning curve nests its shares, keeps the test side, every class and whole groups', () => {
    fc.assert(
      fc.property(labels, shape.seed, (y, seed) => {
        const groups = y.map((k, i) => `${k}-${Math.floor(i / 3)}`)
        fc.pre(new Set(groups).size >= 3)
        const input = { y, groups }
        const folds = groupedFolds(input, { folds: 3, seed })
        const made = learningCurveFolds(input, folds, [0.2, 0.5, 1], seed)
        expect(made.length).toBe(6)
        folds.forEach((fold, i) => {
          const [small, large] = [made[2 * i]!, made[2 * i + 1]!]
          expect(small.test).toEqual(fold.test)
          for (const item of small.train) expect(large.train).toContain(item)
          const classes = (items: readonly number[]) => new Set(items.map((item) => y[item]))
          expect(classes(small.train)).toEqual(classes(fold.train))
          const inside = new Set(small.train.map((item) => groups[item]))
          for (const item of fold.train) if (inside.has(groups[item]!)) expect(small.train).toContain(item)
        })
      }),
    )
  })
  it('few-shot takes exactly k a class and never tests a drawn group', () => {
    const y = Array.from({ length: 60 }, (_, i) => i % 3)
    const groups = y.map((_, i) => String(Math.floor(i / 2)))
    const made = fewShotFolds({ y, groups }, { perClass: 4, draws: 6, seed: 2 })
    expect(made.length).toBe(6)
    for (const fold of made) {
      for (let k = 0; k < 3; k++) expect(fold.train.filter((i) => y[i] === k).length).toBe(4)
    }
    expect(foldBreaches(made, groups)).toEqual([])
    expect(() => fewShotFolds({ y }, { perClass: 20, draws: 1, seed: 1 })).toThrow('too few images')
  })
  it("DeCAF's protocol has its sizes", () => {
    const y = Array.from({ length: 400 }, (_, i) => i % 4)
    const made = decafFolds({ y }, { seed: 1, testPerClass: 50 })
    expect(made.map((fold) => [fold.train.length, fold.test.length])).toEqual(Array(5).fill([120, 200]))
  })
})

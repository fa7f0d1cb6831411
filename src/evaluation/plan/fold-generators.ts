import { Fc7Error } from '../../base/errors.js'
import { createRandom } from '../../base/random.js'
import type { Fold, SplitInput } from './splitters.js'

/** Whole groups of the given items in a random order. */
function shuffledGroups(input: SplitInput, items: readonly number[], seed: number | string): number[][] {
  const groups = new Map<string, number[]>()
  for (const item of items) {
    const name = input.groups?.[item] ?? null
    const key = name === null ? `item ${item}` : `group ${name}`
    const list = groups.get(key)
    if (list) list.push(item)
    else groups.set(key, [item])
  }
  return createRandom(seed).shuffled([...groups.values()])
}

/** The learning curve's shares of the training items. */
export const curveFractions = [0.1, 0.2, 0.4, 0.8, 1] as const

/**
 * The folds again with only a share of their training items, each smaller share inside the larger ones, classes kept in
 * proportion, at least one item of each class, whole groups only. The test side stays. Shares of 1 are left out: they
 * are the folds themselves.
 */
export function learningCurveFolds(
  input: SplitInput,
  folds: readonly Fold[],
  fractions: readonly number[],
  seed: number | string,
): (Fold & { readonly fraction: number })[] {
  const shares = fractions.filter((share) => share < 1)
  for (const share of shares) {
    if (!(share > 0))
      throw new Fc7Error('USAGE_FRACTION', `${share} is not a share of the training rows.`, {
        hint: 'Use numbers above 0 and up to 1.',
      })
  }
  return folds.flatMap((fold) => {
    const order = shuffledGroups(input, fold.train, `${seed}/curve/${fold.id}`)
    const totals = new Map<number, number>()
    for (const item of fold.train) totals.set(input.y[item]!, (totals.get(input.y[item]!) ?? 0) + 1)
    return shares.map((fraction) => {
      const taken = new Map<number, number>()
      const wanted = (k: number): number => Math.max(1, Math.round(fraction * totals.get(k)!))
      const train: number[] = []
      for (const group of order) {
        if (!group.some((item) => (taken.get(input.y[item]!) ?? 0) < wanted(input.y[item]!))) continue
        for (const item of group) {
          taken.set(input.y[item]!, (taken.get(input.y[item]!) ?? 0) + 1)
          train.push(item)
        }
      }
      return { ...fold, id: `${fold.id}-p${Math.round(fraction * 100)}`, train: train.sort((a, b) => a - b), fraction }
    })
  })
}

/**
 * Few-shot draws: `perClass` random training items of each class, everything else of `testFrom` (default: all items not
 * drawn) is tested. Groups are kept on one side: an item whose group was drawn is never tested.
 *
 * @throws Fc7Error TOO_FEW_ROWS when a class has fewer items than a draw takes and leaves
 */
export function fewShotFolds(
  input: SplitInput,
  options: {
    readonly perClass: number
    readonly draws: number
    readonly seed: number | string
    readonly trainFrom?: readonly number[] | undefined
    readonly testFrom?: readonly number[] | undefined
    /** At most this many test items of a class, as DeCAF's and Caltech-101's protocols fix it. */
    readonly testPerClass?: number | undefined
    readonly classes?: readonly string[] | undefined
  },
): Fold[] {
  const everything = Array.from({ length: input.y.length }, (_, i) => i)
  const pool = options.trainFrom ?? everything
  return Array.from({ length: options.draws }, (_, repeat) => {
    const random = createRandom(options.seed).fork(`few-shot-${options.perClass}-${repeat}`)
    const order = random.shuffled(pool)
    const counts = new Map<number, number>()
    for (const item of pool) counts.set(input.y[item]!, 0)
    const train: number[] = []
    for (const item of order) {
      const k = input.y[item]!
      if (counts.get(k)! >= options.perClass) continue
      counts.set(k, counts.get(k)! + 1)
      train.push(item)
    }
    const drawn = new Set(train)
    const groups = new Set(train.map((item) => input.groups?.[item] ?? null))
    groups.delete(null)
    const inDrawnGroup = (item: number): boolean => groups.has(input.groups?.[item] ?? null)
    const tested = new Map<number, number>()
    const test = random
      .shuffled(options.testFrom ?? everything)
      .filter((item) => !drawn.has(item) && !inDrawnGroup(item))
      .filter((item) => {
        const k = input.y[item]!
        const seen = tested.get(k) ?? 0
        tested.set(k, seen + 1)
        return seen < (options.testPerClass ?? Number.POSITIVE_INFINITY)
      })
    for (const [k, count] of counts) {
      if (count === options.perClass && (tested.get(k) ?? 0) > 0) continue
      throw new Fc7Error(
        'TOO_FEW_ROWS',
        `Class "${options.classes?.[k] ?? k}" has too few images for ${options.perClass} training images a class ` +
          'and a test.',
        { hint: 'Use fewer images a class, or more data.' },
      )
    }
    return {
      id: `k${options.perClass}d${repeat}`,
      repeat,
      fold: 0,
      train: train.sort((a, b) => a - b),
      test: test.sort((a, b) => a - b),
    }
  })
}

/**
 * DeCAF's protocol (Donahue et al. 2014): `perClass` training images of each class, the rest tested, `splits` times;
 * the measure is the mean class accuracy over the splits.
 */
export const decafFolds = (
  input: SplitInput,
  options: {
    readonly perClass?: number | undefined
    readonly splits?: number | undefined
    readonly seed: number | string
    readonly testPerClass?: number | undefined
    readonly classes?: readonly string[] | undefined
  },
): Fold[] => fewShotFolds(input, { ...options, perClass: options.perClass ?? 30, draws: options.splits ?? 5 })

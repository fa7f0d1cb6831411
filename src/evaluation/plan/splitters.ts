import { Fc7Error } from '../../base/errors.js'
import { createRandom } from '../../base/random.js'

/** What a splitter sees: items, not rows (an item is an image; its augmented views are rows of the same item). */
export interface SplitInput {
  /** `[items]`, class indices. */
  readonly y: ArrayLike<number>
  /** `[items]`: items of one group never stand on two sides. Null: an item of its own. */
  readonly groups?: readonly (string | null)[] | undefined
}

/** One fit's division of the items, as plain data. Indices rise. */
export interface Fold {
  readonly id: string
  readonly repeat: number
  readonly fold: number
  readonly train: readonly number[]
  readonly test: readonly number[]
}

/** Numbers the groups by first appearance; an item without one is a group of its own. */
function groupNumbers(input: SplitInput): { readonly of: Int32Array; readonly count: number } {
  const known = new Map<string, number>()
  let count = 0
  const of = Int32Array.from({ length: input.y.length }, (_, i) => {
    const name = input.groups?.[i] ?? null
    if (name === null) return count++
    let number = known.get(name)
    if (number === undefined) {
      number = count++
      known.set(name, number)
    }
    return number
  })
  return { of, count }
}

const named = (repeat: number, fold: number): string => `r${repeat}f${fold}`

/** Folds from a fold number for each item. */
function foldsFrom(assignment: ArrayLike<number>, folds: number, repeat: number): Fold[] {
  return Array.from({ length: folds }, (_, fold) => {
    const train: number[] = []
    const test: number[] = []
    for (let i = 0; i < assignment.length; i++) (assignment[i] === fold ? test : train).push(i)
    return { id: named(repeat, fold), repeat, fold, train, test }
  })
}

/** Item indices by class, in a given order of items. */
function byClass(y: ArrayLike<number>, items: readonly number[]): Map<number, number[]> {
  const classes = new Map<number, number[]>()
  for (const item of items) {
    const list = classes.get(y[item]!)
    if (list) list.push(item)
    else classes.set(y[item]!, [item])
  }
  return new Map([...classes].sort(([a], [b]) => a - b))
}

function checkFolds(folds: number, units: number, what: string): void {
  if (!Number.isInteger(folds) || folds < 2)
    throw new Fc7Error('USAGE_FOLDS', `${folds} folds are no cross-validation.`, { hint: 'Use --folds 2 or more.' })
  if (folds > units)
    throw new Fc7Error('TOO_FEW_ROWS', `${folds} folds need at least ${folds} ${what}; there are ${units}.`, {
      hint: `Use --folds ${Math.max(2, units)} or fewer, or more images.`,
    })
}

/**
 * Stratified k-fold, repeated: in every repeat each item is tested once, and each class is spread so that two folds
 * differ by at most one of its items; the surplus goes to different folds from class to class, so fold sizes differ by
 * at most one too.
 *
 * @throws Fc7Error TOO_FEW_ROWS when a fold could not hold an item
 */
export function stratifiedFolds(
  input: SplitInput,
  options: { readonly folds: number; readonly repeats?: number | undefined; readonly seed: number | string },
): Fold[] {
  const { folds, repeats = 1 } = options
  checkFolds(folds, input.y.length, 'labelled images')
  return Array.from({ length: repeats }, (_, repeat) => {
    const random = createRandom(options.seed).fork(`kfold-${repeat}`)
    const shuffled = random.shuffled(Array.from({ length: input.y.length }, (_, i) => i))
    const order = random.shuffled(Array.from({ length: folds }, (_, i) => i))
    const assignment = new Int32Array(input.y.length)
    let dealt = 0
    for (const items of byClass(input.y, shuffled).values())
      for (const item of items) assignment[item] = order[dealt++ % folds]!
    return foldsFrom(assignment, folds, repeat)
  }).flat()
}

/**
 * Stratified group k-fold, repeated: whole groups are dealt, the most uneven first, each to the fold where the spread
 * of the classes over the folds stays smallest (the greedy of scikit-learn's StratifiedGroupKFold; ties go to the
 * smaller fold).
 *
 * @throws Fc7Error TOO_FEW_ROWS for fewer groups than folds
 */
export function groupedFolds(
  input: SplitInput,
  options: { readonly folds: number; readonly repeats?: number | undefined; readonly seed: number | string },
): Fold[] {
  const { folds, repeats = 1 } = options
  const groups = groupNumbers(input)
  checkFolds(folds, groups.count, 'groups')
  const classes = Math.max(0, ...Array.from(input.y)) + 1
  const counts = Array.from({ length: groups.count }, () => new Float64Array(classes))
  const totals = new Float64Array(classes)
  for (let i = 0; i < input.y.length; i++) {
    counts[groups.of[i]!]![input.y[i]!]!++
    totals[input.y[i]!]!++
  }
  const unevenness = counts.map((count) => deviationOf(count))
  return Array.from({ length: repeats }, (_, repeat) => {
    const random = createRandom(options.seed).fork(`group-${repeat}`)
    const order = random.shuffled(counts.map((_, i) => i)).sort((a, b) => unevenness[b]! - unevenness[a]!)
    const perFold = Array.from({ length: folds }, () => new Float64Array(classes))
    const sizes = new Array<number>(folds).fill(0)
    const foldOfGroup = new Int32Array(groups.count)
    order.forEach((group, place) => {
      const left = order.length - place
      const empty = sizes.filter((size) => size === 0).length
      // Never leave a fold empty: when as many groups as empty folds are left, only those folds may take one.
      const open = sizes.map((size, fold) => (left > empty || size === 0 ? fold : -1)).filter((fold) => fold >= 0)
      const best = bestFold(perFold, sizes, counts[group]!, totals, open)
      foldOfGroup[group] = best
      counts[group]!.forEach((count, k) => {
        perFold[best]![k]! += count
        sizes[best]! += count
      })
    })
    return foldsFrom(
      Array.from(groups.of, (group) => foldOfGroup[group]!),
      folds,
      repeat,
    )
  }).flat()
}

function deviationOf(values: ArrayLike<number>): number {
  const list = Array.from(values)
  const centre = list.reduce((a, b) => a + b, 0) / list.length
  return Math.sqrt(list.reduce((sum, value) => sum + (value - centre) ** 2, 0) / list.length)
}

function bestFold(
  perFold: readonly Float64Array[],
  sizes: readonly number[],
  group: Float64Array,
  totals: Float64Array,
  open: readonly number[],
): number {
  let best = open[0]!
  let bestSpread = Number.POSITIVE_INFINITY
  for (const fold of open) {
    let spread = 0
    let seen = 0
    for (let k = 0; k < totals.length; k++) {
      if (totals[k] === 0) continue
      spread += deviationOf(perFold.map((count, i) => (count[k]! + (i === fold ? group[k]! : 0)) / totals[k]!))
      seen++
    }
    spread /= Math.max(1, seen)
    const closer = spread < bestSpread - 1e-12
    if (closer || (Math.abs(spread - bestSpread) <= 1e-12 && sizes[fold]! < sizes[best]!)) {
      best = fold
      bestSpread = Math.min(spread, bestSpread)
    }
  }
  return best
}

/**
 * Leave one group out: every group is the test side once, in order of first appearance.
 *
 * @throws Fc7Error NO_GROUPS when fewer than two groups are known or an item has none
 */
export function leaveOneGroupOut(input: SplitInput): Fold[] {
  const names = new Set(input.groups ?? [])
  if (names.size < 2 || names.has(null) || input.groups?.length !== input.y.length)
    throw new Fc7Error('NO_GROUPS', 'Leave-one-group-out needs a group for every image, and at least two groups.', {
      hint: 'Make the store with --group-from <regex>, or use plain folds.',
    })
  const groups = groupNumbers(input)
  return foldsFrom(groups.of, groups.count, 0)
}

/**
 * The one holdout: fit on the train split and, where there is one, the val split; test once on `test`. With `holdout:
 * 'val'` the val split is tested and only train is fitted on. Items without a split are left out.
 *
 * @throws Fc7Error NO_SPLIT when a side is empty
 */
export function holdoutFold(splits: readonly ('train' | 'val' | 'test' | null)[], holdout: 'val' | 'test'): Fold[] {
  const train: number[] = []
  const test: number[] = []
  splits.forEach((split, i) => {
    if (split === holdout) test.push(i)
    else if (split === 'train' || (split === 'val' && holdout === 'test')) train.push(i)
  })
  for (const [side, items] of [
    [holdout, test],
    ['train', train],
  ] as const) {
    if (items.length === 0)
      throw new Fc7Error('NO_SPLIT', `There is no labelled image in the split "${side}".`, {
        hint: 'Use a data set with train and test folders, or leave out --holdout for cross-validation.',
      })
  }
  return [{ id: 'holdout', repeat: 0, fold: 0, train, test }]
}

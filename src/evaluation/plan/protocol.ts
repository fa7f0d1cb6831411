import { z } from 'zod'
import { Fc7Error } from '../../base/errors.js'
import { decafFolds, fewShotFolds, learningCurveFolds } from './fold-generators.js'
import type { Items } from './items.js'
import { type Fold, groupedFolds, holdoutFold, leaveOneGroupOut, stratifiedFolds } from './splitters.js'

const whole = z.int().min(1)
const index = z.int().min(0)

export const foldSchema = z.strictObject({
  id: z.string().regex(/^[\w-]+$/),
  /** `main` folds make the result; `curve` folds are points of the learning curve. */
  purpose: z.enum(['main', 'curve']),
  repeat: index,
  fold: index,
  fraction: z.number(),
  /** Item numbers, rising. */
  train: z.array(index),
  test: z.array(index),
})
export type PlannedFold = z.infer<typeof foldSchema>

export const protocolSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('holdout'), split: z.enum(['val', 'test']), train: z.array(z.string()) }),
  z.strictObject({ kind: z.literal('kfold'), folds: whole, repeats: whole, grouped: z.boolean() }),
  z.strictObject({ kind: z.literal('leave-one-group-out'), groups: whole }),
  z.strictObject({ kind: z.literal('few-shot'), perClass: whole, draws: whole, testSplit: z.boolean() }),
  z.strictObject({ kind: z.literal('decaf'), perClass: whole, splits: whole }),
])
export const protocolKinds = ['holdout', 'kfold', 'leave-one-group-out', 'few-shot', 'decaf'] as const
/** How the items are divided, for the record and the report. */
export type Protocol = z.infer<typeof protocolSchema>

export interface FoldOptions {
  readonly protocol?: Protocol['kind'] | undefined
  readonly folds?: number | undefined
  readonly repeats?: number | undefined
  readonly holdout?: 'val' | 'test' | undefined
  readonly perClass?: number | undefined
  readonly draws?: number | undefined
  readonly testPerClass?: number | undefined
  /** Shares of the training images for a learning curve; none by default. */
  readonly curve?: readonly number[] | undefined
  readonly seed: number | string
}

/** One sentence for the terminal and the report. */
export function describeProtocol(protocol: Protocol): string {
  switch (protocol.kind) {
    case 'holdout':
      return `Fitted on the split ${protocol.train.join(' and ')}, tested once on the split ${protocol.split}.`
    case 'kfold': {
      const times = protocol.repeats > 1 ? `, repeated ${protocol.repeats} times` : ''
      const groups = protocol.grouped ? ' with whole groups' : ''
      return `Stratified ${protocol.folds}-fold cross-validation${groups}${times}.`
    }
    case 'leave-one-group-out':
      return `Each of ${protocol.groups} groups tested once, fitted on all others.`
    case 'few-shot':
      return protocol.testSplit
        ? `${protocol.perClass} training images a class, drawn ${protocol.draws} times outside the test split, ` +
            'which is tested each time.'
        : `${protocol.perClass} training images a class, the rest tested, ${protocol.draws} draws.`
    case 'decaf':
      return `DeCAF's protocol: ${protocol.perClass} training images a class, ${protocol.splits} random splits.`
  }
}

/** Where a few-shot draw takes its training images and its test images from, in a data set with a test split. */
function sidesOfSplits(items: Items): { readonly trainFrom: number[]; readonly testFrom: number[] } {
  const [fold] = holdoutFold(items.splits, 'test')
  return { trainFrom: [...fold!.train], testFrom: [...fold!.test] }
}

/**
 * The protocol the data themselves ask for: their test split, else stratified k-fold, grouped where groups are known.
 */
function choose(items: Items, options: FoldOptions): Protocol['kind'] {
  if (options.protocol) return options.protocol
  if (options.holdout) return 'holdout'
  if (options.folds !== undefined || options.repeats !== undefined) return 'kfold'
  return items.splits.includes('test') && items.splits.includes('train') ? 'holdout' : 'kfold'
}

/**
 * Protocol and folds for a data set. Without any wish: fit on train and val and test once where there is a test split,
 * stratified 5-fold otherwise; whole groups wherever an image has one.
 *
 * @throws Fc7Error when the wished folds cannot be made
 */
export function planFolds(
  items: Items,
  options: FoldOptions,
): { readonly protocol: Protocol; readonly folds: PlannedFold[] } {
  const input = { y: items.y, groups: items.groups }
  const grouped = items.groups.some((group) => group !== null)
  const { seed } = options
  let protocol: Protocol
  let folds: Fold[]
  switch (choose(items, options)) {
    case 'holdout': {
      const split = options.holdout ?? 'test'
      folds = holdoutFold(items.splits, split)
      const train = new Set(folds[0]!.train.map((item) => items.splits[item]!))
      protocol = { kind: 'holdout', split, train: [...train].sort() }
      break
    }
    case 'kfold': {
      const shape = { folds: options.folds ?? 5, repeats: options.repeats ?? 1, seed }
      folds = grouped ? groupedFolds(input, shape) : stratifiedFolds(input, shape)
      protocol = { kind: 'kfold', folds: shape.folds, repeats: shape.repeats, grouped }
      break
    }
    case 'leave-one-group-out':
      folds = leaveOneGroupOut(input)
      protocol = { kind: 'leave-one-group-out', groups: folds.length }
      break
    case 'few-shot': {
      const perClass = options.perClass ?? 5
      const draws = options.draws ?? 20
      const testSplit = items.splits.includes('test') && items.splits.includes('train')
      const sides = testSplit ? sidesOfSplits(items) : {}
      folds = fewShotFolds(input, { ...options, ...sides, perClass, draws, classes: items.classes })
      protocol = { kind: 'few-shot', perClass, draws, testSplit }
      break
    }
    case 'decaf': {
      const perClass = options.perClass ?? 30
      const splits = options.draws ?? 5
      folds = decafFolds(input, { ...options, perClass, splits, classes: items.classes })
      protocol = { kind: 'decaf', perClass, splits }
      break
    }
  }
  for (const fold of folds) {
    if (new Set(fold.train.map((item) => items.y[item])).size >= 2) continue
    throw new Fc7Error('ONE_CLASS', `The training side of fold ${fold.id} holds one class only.`, {
      hint: 'Use fewer folds, or check how classes and groups go together.',
    })
  }
  const main = folds.map((fold): PlannedFold => ({ ...plain(fold), purpose: 'main', fraction: 1 }))
  const firstRepeat = folds.filter((fold) => fold.repeat === 0)
  const curve = learningCurveFolds(input, firstRepeat, options.curve ?? [], seed)
    .filter((fold) => new Set(fold.train.map((item) => items.y[item])).size >= 2)
    .map((fold): PlannedFold => ({ ...plain(fold), purpose: 'curve', fraction: fold.fraction }))
  return { protocol, folds: [...main, ...curve] }
}

const plain = (fold: Fold) => ({
  id: fold.id,
  repeat: fold.repeat,
  fold: fold.fold,
  train: [...fold.train],
  test: [...fold.test],
})

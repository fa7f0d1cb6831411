import { Fc7Error } from '../../base/errors.js'
import { stratifiedHoldout } from '../../datasets/splits.js'

/** What of an item decides its place. */
export interface Labelled {
  readonly id: string
  readonly label?: string | undefined
  readonly split?: string | undefined
  readonly group?: string | undefined
}

/** Indices of items. `report` is looked at once, when training is over. */
export interface Roles {
  readonly train: readonly number[]
  readonly select: readonly number[]
  readonly report: readonly number[]
  /** Where each came from, for the plan. */
  readonly sources: { readonly select: string; readonly report: string }
}

export const selectionShare = 0.15
const reportShare = 0.2

/**
 * Who trains, who chooses the epoch, who is reported. With a val and a test split: val chooses, test is reported. With
 * one of them: it is reported, and a seeded stratified 15 % of train chooses. With neither, a fifth is held out for the
 * report.
 *
 * @throws Fc7Error FINETUNE_LABEL, FINETUNE_CLASSES, FINETUNE_SPLIT
 */
export function assignRoles(items: readonly Labelled[], seed: number): Roles {
  const unlabelled = items.filter(({ label }) => label === undefined)
  if (unlabelled.length > 0) {
    throw new Fc7Error(
      'FINETUNE_LABEL',
      `${unlabelled.length} images have no label, the first is ${unlabelled[0]!.id}.`,
      {
        hint: 'Move them out of the data set, or put each into the folder of its label.',
      },
    )
  }
  const named = (name: string): number[] => items.flatMap(({ split }, i) => (split === name ? [i] : []))
  const [val, test] = [named('val'), named('test')]
  const rest = items.flatMap(({ split }, i) => (split !== 'val' && split !== 'test' ? [i] : []))
  const hold = (from: readonly number[], part: number, name: string): { kept: number[]; held: number[] } => {
    const groups = from.map((i) => items[i]!.group)
    const cut = stratifiedHoldout(
      from.map((i) => items[i]!.label),
      part,
      `${seed}/${name}`,
      groups.some((group) => group !== undefined) ? groups : undefined,
    )
    return { kept: cut.train.map((i) => from[i]!), held: cut.test.map((i) => from[i]!) }
  }
  let train = rest
  let report = test.length > 0 ? test : val
  let reportSource = test.length > 0 ? 'the test split' : 'the val split'
  if (report.length === 0) {
    const cut = hold(train, reportShare, 'report')
    train = cut.kept
    report = cut.held
    reportSource = 'a seeded fifth of the images'
  }
  let select = test.length > 0 ? val : []
  let selectSource = 'the val split'
  if (select.length === 0) {
    const cut = hold(train, selectionShare, 'select')
    train = cut.kept
    select = cut.held
    selectSource = 'a seeded 15 % of train'
  }
  if (select.length === 0 || report.length === 0) {
    throw new Fc7Error('FINETUNE_SPLIT', 'There are too few images: none is left to choose the epoch, or to report.', {
      hint: 'Three images of a label are needed without a val and a test split.',
    })
  }
  if (train.length === 0) {
    throw new Fc7Error('FINETUNE_SPLIT', 'No images are left to train on.', {
      hint: 'The data set needs a train split, or images without a split.',
    })
  }
  return { train, select, report, sources: { select: selectSource, report: reportSource } }
}

/** Labels in order of first appearance; with `positive`, that label comes last. @throws Fc7Error FINETUNE_CLASSES */
export function classesOf(items: readonly Labelled[], roles: Roles, positive: string | undefined): string[] {
  const all = [...new Set(items.flatMap(({ label }) => (label === undefined ? [] : [label])))]
  const trained = new Set(roles.train.map((i) => items[i]!.label))
  const missing = all.find((label) => !trained.has(label))
  if (missing !== undefined) {
    throw new Fc7Error('FINETUNE_CLASSES', `The label ${missing} has no image to train on.`, {
      hint: 'Add images of it to the train split, or leave the label out of the data set.',
    })
  }
  if (all.length < 2) {
    throw new Fc7Error('FINETUNE_CLASSES', `All images have the same label, ${all[0]}.`, {
      hint: 'Two labels or more are needed.',
    })
  }
  if (positive === undefined) return all
  if (!all.includes(positive) || all.length !== 2) {
    throw new Fc7Error(
      'FINETUNE_CLASSES',
      `--positive ${positive} needs two labels of which it is one; there are ${all.join(', ')}.`,
      {
        hint: 'Leave --positive out to train one output a label.',
      },
    )
  }
  return [...all.filter((label) => label !== positive), positive]
}

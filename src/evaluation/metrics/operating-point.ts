import { z } from 'zod'
import { Fc7Error } from '../../base/errors.js'
import { betaQuantile, normalQuantile } from '../statistics/distributions.js'

export interface Interval {
  readonly low: number
  readonly high: number
}

/** Wilson's score interval of `hits` out of `rows` (statsmodels' and scipy's `method='wilson'`). */
export function wilsonInterval(hits: number, rows: number, level = 0.95): Interval {
  if (rows === 0) return { low: 0, high: 1 }
  const z = normalQuantile(1 - (1 - level) / 2)
  const p = hits / rows
  const below = 1 + (z * z) / rows
  const centre = (p + (z * z) / (2 * rows)) / below
  const half = (z / below) * Math.sqrt((p * (1 - p)) / rows + (z * z) / (4 * rows * rows))
  return { low: hits === 0 ? 0 : centre - half, high: hits === rows ? 1 : centre + half }
}

/** Clopper and Pearson's exact interval of `hits` out of `rows` (scipy's `method='exact'`). */
export function clopperInterval(hits: number, rows: number, level = 0.95): Interval {
  if (rows === 0) return { low: 0, high: 1 }
  const tail = (1 - level) / 2
  return {
    low: hits === 0 ? 0 : betaQuantile(tail, hits, rows - hits + 1),
    high: hits === rows ? 1 : betaQuantile(1 - tail, hits + 1, rows - hits),
  }
}

const target = z.number().gt(0).max(1)
/** How the threshold of a binary task is chosen. */
export const operatingRuleSchema = z.discriminatedUnion('kind', [
  /** The classifier's own decision: the larger score wins. */
  z.strictObject({ kind: z.literal('default') }),
  z.strictObject({ kind: z.literal('threshold'), threshold: z.number() }),
  /** The highest threshold that keeps at least this sensitivity. */
  z.strictObject({ kind: z.literal('sensitivity'), atLeast: target }),
  /** The lowest threshold that keeps at least this specificity. */
  z.strictObject({ kind: z.literal('specificity'), atLeast: target }),
  /** The largest sensitivity + specificity (Youden's J), the highest such threshold. */
  z.strictObject({ kind: z.literal('youden') }),
])
export type OperatingRule = z.infer<typeof operatingRuleSchema>

/**
 * A rule as a user types it: `default`, `youden`, `threshold=0.3`, `sensitivity=0.95` or `specificity=0.9`.
 *
 * @throws Fc7Error USAGE_OPERATING
 */
export function parseOperatingRule(text: string): OperatingRule {
  const [kind, number] = text.split('=')
  const at = number === undefined || number.trim() === '' ? undefined : Number(number)
  const parsed = operatingRuleSchema.safeParse(
    at === undefined ? { kind } : kind === 'threshold' ? { kind, threshold: at } : { kind, atLeast: at },
  )
  if (parsed.success) return parsed.data
  throw new Fc7Error('USAGE_OPERATING', `"${text}" is no operating point.`, {
    hint: 'Use youden, threshold=0.3, sensitivity=0.95 or specificity=0.9 (shares above 0, up to 1).',
  })
}

/** One sentence for the terminal and the report. */
export function describeOperatingRule(rule: OperatingRule): string {
  const honest = 'chosen for each fit on out-of-fold scores of its training images'
  switch (rule.kind) {
    case 'default':
      return "the classifier's own decision"
    case 'threshold':
      return `score of the positive class at least ${rule.threshold}`
    case 'sensitivity':
      return `the highest threshold with a sensitivity of at least ${rule.atLeast}, ${honest}`
    case 'specificity':
      return `the lowest threshold with a specificity of at least ${rule.atLeast}, ${honest}`
    case 'youden':
      return `the threshold with the largest sum of sensitivity and specificity, ${honest}`
  }
}

export interface Proportion {
  readonly value: number | null
  readonly hits: number
  readonly rows: number
  readonly wilson: Interval
  readonly clopper: Interval
}

export interface OperatingPoint {
  readonly sensitivity: Proportion
  readonly specificity: Proportion
  /** Precision of the positive calls. */
  readonly positivePredictive: Proportion
  readonly negativePredictive: Proportion
}

const proportion = (hits: number, rows: number): Proportion => ({
  value: rows > 0 ? hits / rows : null,
  hits,
  rows,
  wilson: wilsonInterval(hits, rows),
  clopper: clopperInterval(hits, rows),
})

/**
 * Sensitivity and specificity of "positive where score ≥ threshold".
 *
 * @param scores `[rows]`, of the positive class
 * @param thresholdOf each row's: fits have thresholds of their own
 */
export function operatingPoint(
  scores: ArrayLike<number>,
  isPositive: ArrayLike<number | boolean>,
  thresholdOf: (row: number) => number,
): OperatingPoint {
  let hits = 0
  let alarms = 0
  let positives = 0
  for (let i = 0; i < scores.length; i++) {
    const called = scores[i]! >= thresholdOf(i)
    if (isPositive[i]) {
      positives++
      if (called) hits++
    } else if (called) alarms++
  }
  const negatives = scores.length - positives
  return {
    sensitivity: proportion(hits, positives),
    specificity: proportion(negatives - alarms, negatives),
    positivePredictive: proportion(hits, hits + alarms),
    negativePredictive: proportion(negatives - alarms, negatives - alarms + positives - hits),
  }
}

/** A rule that reads scores. */
export type ChosenRule = Exclude<OperatingRule, { kind: 'default' | 'threshold' }>

export const choosesThreshold = (rule: OperatingRule): rule is ChosenRule =>
  rule.kind !== 'default' && rule.kind !== 'threshold'

/** Folds of a fit's training images on whose out-of-fold scores a threshold is chosen. */
export const thresholdFolds = 5

/**
 * The threshold that a rule asks for on these scores, one of the scores themselves. Where no threshold keeps a
 * specificity, the next float32 above the highest score: nothing here is called positive.
 *
 * @param scores `[rows]`, of the positive class; not of images that will be tested with the threshold
 * @throws Fc7Error OPERATING_RULE for a target outside (0, 1]
 */
export function chooseThreshold(
  scores: ArrayLike<number>,
  isPositive: ArrayLike<number | boolean>,
  rule: ChosenRule,
): number {
  if (rule.kind !== 'youden' && !(rule.atLeast > 0 && rule.atLeast <= 1))
    throw new Fc7Error('OPERATING_RULE', `${rule.atLeast} is not a share between 0 and 1.`, {
      hint: 'Give the wanted sensitivity or specificity as a number such as 0.95.',
    })
  // By falling score: sensitivity rises and specificity falls along the way.
  const order = Array.from({ length: scores.length }, (_, i) => i).sort((a, b) => scores[b]! - scores[a]!)
  const positives = order.filter((i) => isPositive[i]).length
  const negatives = order.length - positives
  const highest = scores[order[0]!]!
  let best = highest + Math.max(Math.abs(highest), Number.MIN_VALUE) * 2 ** -23
  let bestValue = Number.NEGATIVE_INFINITY
  let hits = 0
  let alarms = 0
  for (let at = 0; at < order.length; ) {
    const candidate = scores[order[at]!]!
    for (; at < order.length && scores[order[at]!]! === candidate; at++) {
      if (isPositive[order[at]!]) hits++
      else alarms++
    }
    const sensitivity = positives > 0 ? hits / positives : 0
    const specificity = negatives > 0 ? 1 - alarms / negatives : 0
    if (rule.kind === 'sensitivity') {
      if (sensitivity >= rule.atLeast) return candidate
    } else if (rule.kind === 'specificity') {
      if (specificity >= rule.atLeast) best = candidate
    } else if (sensitivity + specificity > bestValue) {
      bestValue = sensitivity + specificity
      best = candidate
    }
  }
  return rule.kind === 'sensitivity' ? scores[order.at(-1)!]! : best
}

/** The positive class of a binary task and where the knowledge comes from. */
export interface Positive {
  readonly label: string
  readonly source: 'given' | 'inferred'
}

/**
 * The positive class: what the user named, or what one of four well-known pairs says (no/yes, normal/anything,
 * negative/positive, 0/1, ignoring case). Null when there are not two classes or nothing can be inferred.
 *
 * @throws Fc7Error POSITIVE_UNKNOWN when the named class is none of the two
 */
export function positiveClass(classes: readonly string[], given?: string): Positive | null {
  if (given !== undefined) {
    if (!classes.includes(given))
      throw new Fc7Error('POSITIVE_UNKNOWN', `There is no class "${given}" to be the positive one.`, {
        hint: `The classes are: ${classes.slice(0, 20).join(', ')}.`,
      })
    if (classes.length !== 2)
      throw new Fc7Error('POSITIVE_UNKNOWN', `A positive class needs two classes; there are ${classes.length}.`, {
        hint: 'Leave out --positive, or keep only two labels.',
      })
    return { label: given, source: 'given' }
  }
  if (classes.length !== 2) return null
  for (const [own, other] of [
    [classes[0]!, classes[1]!],
    [classes[1]!, classes[0]!],
  ] as const) {
    const [a, b] = [own.toLowerCase(), other.toLowerCase()]
    const known =
      (b === 'yes' && a === 'no') ||
      (b === 'positive' && a === 'negative') ||
      (b === '1' && a === '0') ||
      (a === 'normal' && b !== 'normal')
    if (known) return { label: other, source: 'inferred' }
  }
  return null
}

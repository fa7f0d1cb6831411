import type { KeptFit } from '../fit/fit-files.js'
import type { Outcome } from '../metrics/registry.js'
import type { Items } from '../plan/items.js'
import type { ComparisonPlan, ComparisonTable, PlannedTrainer } from '../plan/plan.js'
import type { PlannedFold } from '../plan/protocol.js'
import type { Result } from './schema.js'

/** A planned table with what stands behind it. */
export interface TableInput {
  readonly input: ComparisonTable
  readonly items: Items
  readonly dataset: ComparisonPlan['datasets'][number]
}

/** All main test predictions of one trainer on one table. */
export interface Entry {
  readonly table: ComparisonPlan['tables'][number]
  readonly trainer: PlannedTrainer
  readonly source: TableInput
  readonly folds: readonly PlannedFold[]
  readonly fits: readonly KeptFit[]
  readonly curve: readonly { readonly fold: PlannedFold; readonly fit: KeptFit }[]
  readonly outcome: Outcome
  /** `[predictions]`, item number of each. */
  readonly item: Int32Array
  /** `[predictions]`, what the bootstrap draws: the item, or the group it belongs to. */
  readonly unit: Int32Array
}

/** An entry with its figures and what pairwise tests reuse. */
export interface Measured {
  readonly entry: Entry
  readonly result: Result
  /** The primary metric in every bootstrap resample; equal seeds and units pair them across entries. */
  readonly resampled: readonly (number | null)[]
}

/** The unit of each item: its group's number, or one of its own. */
function unitsOf(items: Items): Int32Array {
  const known = new Map<string, number>()
  return Int32Array.from(items.ids, (_, i) => {
    const group = items.groups[i] ?? null
    if (group === null) return i
    if (!known.has(group)) known.set(group, i)
    return known.get(group)!
  })
}

/** The outcome of the given fits alone, in their order. */
export function outcomeOf(fits: readonly KeptFit[], source: TableInput): { outcome: Outcome; item: Int32Array } {
  const { items, dataset } = source
  const total = fits.reduce((sum, fit) => sum + fit.items.length, 0)
  const classes = dataset.classes.length
  const item = new Int32Array(total)
  const predicted = new Int32Array(total)
  const scores = new Float32Array(total * classes)
  const number = new Int32Array(total)
  let at = 0
  fits.forEach((fit, i) => {
    item.set(fit.items, at)
    predicted.set(fit.predicted, at)
    scores.set(fit.scores, at * classes)
    number.fill(i, at, at + fit.items.length)
    at += fit.items.length
  })
  const positive = dataset.positive ? dataset.classes.indexOf(dataset.positive.label) : -1
  return {
    item,
    outcome: {
      truth: Int32Array.from(item, (i) => items.y[i]!),
      predicted,
      scores,
      // One margin among probabilities would make the whole column meaningless as a probability.
      scoreKind: fits.every((fit) => fit.facts.scoreKind === 'probability') ? 'probability' : 'decision',
      classes,
      positive: positive < 0 ? null : positive,
      fit: number,
    },
  }
}

/** Entries in plan order: table by table, trainer by trainer. */
export function entriesOf(
  plan: ComparisonPlan,
  sources: readonly TableInput[],
  kept: ReadonlyMap<string, KeptFit>,
): Entry[] {
  const fitIds = new Map(plan.fits.map((fit) => [`${fit.table}\n${fit.trainer}\n${fit.fold}`, fit.id]))
  return plan.tables.flatMap((table, t) => {
    const source = sources[t]!
    const units = unitsOf(source.items)
    return plan.trainers.map((trainer): Entry => {
      const fitOf = (fold: PlannedFold): KeptFit => kept.get(fitIds.get(`${table.key}\n${trainer.key}\n${fold.id}`)!)!
      const folds = source.dataset.folds.filter((fold) => fold.purpose === 'main')
      const fits = folds.map(fitOf)
      const { outcome, item } = outcomeOf(fits, source)
      const curve = source.dataset.folds.filter((fold) => fold.purpose === 'curve')
      return {
        table,
        trainer,
        source,
        folds,
        fits,
        curve: curve.map((fold) => ({ fold, fit: fitOf(fold) })),
        outcome,
        item,
        unit: Int32Array.from(item, (i) => units[i]!),
      }
    })
  })
}

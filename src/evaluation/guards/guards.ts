import type { Progress } from '../../base/progress.js'
import type { KeptFit } from '../fit/fit-files.js'
import type { ComparisonPlan } from '../plan/plan.js'
import type { PlannedFold } from '../plan/protocol.js'
import type { Fold } from '../plan/splitters.js'
import { outcomeOf, type TableInput } from '../results/outcomes.js'
import type { Guards } from '../results/schema.js'
import type { Summary } from '../results/summary.js'
import { type DuplicateRule, defaultDuplicateRule, describeRule, type FoundPair, findDuplicates } from './duplicates.js'
import { labelSuspects } from './suspects.js'

export interface GuardOptions {
  readonly duplicates?: Partial<DuplicateRule> | false | undefined
  readonly suspects?: boolean | undefined
}

const maxPairs = 200
const maxSuspects = 200
type Warning = Guards['warnings'][number]

/** For every item, a set of folds it is trained on and one it is tested on, so that a pair's sides are quick to ask. */
class Sides {
  readonly #train: Set<number>[]
  readonly #test: Set<number>[]

  constructor(folds: readonly PlannedFold[]) {
    const main = folds.filter((fold) => fold.purpose === 'main')
    this.#train = main.map((fold) => new Set(fold.train))
    this.#test = main.map((fold) => new Set(fold.test))
  }

  /** True when some fold trains on one of the two and tests on the other. */
  across(a: number, b: number): boolean {
    return this.#train.some((train, i) => {
      const test = this.#test[i]!
      return (train.has(a) && test.has(b)) || (train.has(b) && test.has(a))
    })
  }
}

/**
 * The folds' own rules checked on the plan that will be run, not trusted: no image and no group on both sides, no test
 * image twice. A message for each breach; none is the normal case.
 */
export function foldBreaches(
  folds: readonly Pick<Fold, 'id' | 'train' | 'test'>[],
  groups: readonly (string | null)[],
): string[] {
  const breaches: string[] = []
  for (const fold of folds) {
    const train = new Set(fold.train)
    const both = fold.test.filter((item) => train.has(item)).length
    if (both > 0) breaches.push(`Fold ${fold.id} trains on ${both} of its own test images.`)
    if (new Set(fold.test).size < fold.test.length) breaches.push(`Fold ${fold.id} tests an image twice.`)
    const trained = new Set(fold.train.map((item) => groups[item] ?? null))
    trained.delete(null)
    const shared = new Set(fold.test.map((item) => groups[item] ?? null).filter((group) => trained.has(group)))
    if (shared.size > 0) breaches.push(`Fold ${fold.id} has ${shared.size} groups on both sides.`)
  }
  return breaches
}

/** Rows of a fit checked against what it may see: no row of a test image, a view of one included. */
export function rowBreaches(
  trainRows: ArrayLike<number>,
  testItems: readonly number[],
  items: { readonly rows: Int32Array; readonly views: readonly (readonly number[])[] },
): number[] {
  const forbidden = new Set(testItems.flatMap((item) => [items.rows[item]!, ...items.views[item]!]))
  return Array.from(trainRows).filter((row) => forbidden.has(row))
}

function dataWarnings(plan: ComparisonPlan, source: TableInput): Warning[] {
  const { dataset, items } = source
  const warnings: Warning[] = []
  const say = (code: string, text: string): void => {
    warnings.push({ code, text: plan.datasets.length > 1 ? `${dataset.name}: ${text}` : text })
  }
  const counts = dataset.classes.map((_, k) => items.y.reduce((sum, y) => sum + (y === k ? 1 : 0), 0))
  const [most, least] = [counts.indexOf(Math.max(...counts)), counts.indexOf(Math.min(...counts))]
  if (counts[most]! >= 5 * counts[least]!)
    say(
      'IMBALANCE',
      `The classes are uneven: ${counts[most]} images of "${dataset.classes[most]}", ${counts[least]} of ` +
        `"${dataset.classes[least]}". Look at mean class accuracy and the per-class figures; accuracy alone ` +
        'flatters.',
    )
  const main = dataset.folds.filter((fold) => fold.purpose === 'main')
  const untrained = new Set<string>()
  const untested = new Set(dataset.classes)
  for (const fold of main) {
    const trained = new Set(fold.train.map((item) => items.y[item]!))
    for (const item of fold.test) {
      untested.delete(items.labels[item]!)
      if (!trained.has(items.y[item]!)) untrained.add(items.labels[item]!)
    }
  }
  if (untrained.size > 0)
    say('CLASS_NOT_TRAINED', `Tested without any training image: ${[...untrained].join(', ')}. These are always wrong.`)
  if (untested.size > 0) say('CLASS_NOT_TESTED', `Never tested: ${[...untested].join(', ')}.`)
  const tested = new Set(main.flatMap((fold) => fold.test)).size
  if (tested < 100)
    say('FEW_TESTED', `Only ${tested} images are tested: intervals are wide, and small differences mean nothing.`)
  if (items.unlabelled > 0) say('UNLABELLED', `${items.unlabelled} images without a label are left out.`)
  if (items.strayViews > 0)
    say('STRAY_VIEWS', `${items.strayViews} augmented views whose image is missing are left out.`)
  for (const breach of foldBreaches(dataset.folds, items.groups)) say('LEAK', breach)
  return warnings
}

function resultWarnings(plan: ComparisonPlan, summary: Pick<Summary, 'results'>): Warning[] {
  const warnings: Warning[] = []
  for (const dataset of plan.datasets) {
    const best = summary.results.find((result) => result.dataset === dataset.key)
    const accuracy = best?.metrics.accuracy.value ?? 0
    if (best && accuracy >= 0.999 && best.predictions >= 50)
      warnings.push({
        code: 'TOO_GOOD',
        text:
          `${best.title} makes no mistake on ${best.predictions} predictions. Check for duplicates, and for ` +
          'something other than the subject that tells the classes apart (folder, camera, border).',
      })
  }
  return warnings
}

/** Suspects of each data set, by the best result that has probabilities and tested every image out of fold. */
function suspectsOf(
  plan: ComparisonPlan,
  sources: readonly TableInput[],
  kept: ReadonlyMap<string, KeptFit>,
  summary: Pick<Summary, 'results'>,
): Guards['suspects'] {
  return plan.datasets.flatMap((dataset) => {
    const best = summary.results.find(
      (result) => result.dataset === dataset.key && result.scoreKind === 'probability' && !result.limited,
    )
    if (!best) return []
    const source = sources[plan.tables.findIndex((table) => table.key === best.table)]!
    const main = new Set(dataset.folds.filter((fold) => fold.purpose === 'main').map((fold) => fold.id))
    const fits = plan.fits.filter(
      (fit) => fit.table === best.table && fit.trainer === best.trainer && main.has(fit.fold),
    )
    const { outcome, item } = outcomeOf(
      fits.map((fit) => kept.get(fit.id)!),
      source,
    )
    const { items } = source
    const found = labelSuspects(item, outcome.scores, outcome.classes, items.y).slice(0, maxSuspects)
    return [
      {
        dataset: dataset.key,
        table: best.table,
        trainer: best.trainer,
        items: found.map((one) => ({
          id: items.ids[one.item]!,
          label: items.labels[one.item]!,
          suggested: items.classes[one.suggested]!,
          own: one.own,
          other: one.other,
        })),
      },
    ]
  })
}

/**
 * Duplicates across and within folds, label suspects, and warnings about data, folds and results that look too good.
 * They change no figure; the report shows them.
 */
export async function runGuards(
  plan: ComparisonPlan,
  sources: readonly TableInput[],
  kept: ReadonlyMap<string, KeptFit>,
  summary: Pick<Summary, 'results'>,
  options: GuardOptions,
  run: {
    readonly threads?: number | undefined
    readonly signal?: AbortSignal | undefined
    readonly progress?: Progress | undefined
  } = {},
): Promise<Guards> {
  const warnings: Warning[] = []
  const duplicates: Guards['duplicates'] = []
  for (const dataset of plan.datasets) {
    const t = plan.tables.findIndex((table) => table.dataset === dataset.key)
    const source = sources[t]!
    warnings.push(...dataWarnings(plan, source))
    if (options.duplicates === false) continue
    const rule = { ...defaultDuplicateRule, ...options.duplicates }
    const { items, input } = source
    const hashes = items.ids.map((id) => input.dHashes?.get(id))
    const found = await findDuplicates(input.table.x, input.table.dim, items.rows, hashes, {
      rule,
      threads: run.threads ?? 1,
      signal: run.signal,
    })
    const record = duplicateRecord(found.pairs, source, plan.tables[t]!.key)
    duplicates.push({ ...record, rule: describeRule(rule, input.dHashes !== undefined), compared: found.compared })
    if (record.across > 0)
      warnings.push({
        code: 'DUPLICATES_ACROSS',
        text:
          `${record.across} pairs of near-duplicate images stand on both sides of a fold, so some test images were ` +
          'as good as seen in training. Remove them, or group them (--group-duplicates).',
      })
  }
  warnings.push(...resultWarnings(plan, summary))
  const suspects = options.suspects === false ? [] : suspectsOf(plan, sources, kept, summary)
  return { warnings, duplicates, suspects }
}

function duplicateRecord(
  pairs: readonly FoundPair[],
  source: TableInput,
  table: string,
): Omit<Guards['duplicates'][number], 'rule' | 'compared'> {
  const sides = new Sides(source.dataset.folds)
  const { items, dataset } = source
  const records = pairs.map(({ a, b, cosine, distance }) => ({
    a: items.ids[a]!,
    b: items.ids[b]!,
    cosine,
    distance,
    across: sides.across(a, b),
    sameLabel: items.y[a] === items.y[b],
  }))
  const across = records.filter((pair) => pair.across)
  // Those that spoil the result first.
  const shown = [...across, ...records.filter((pair) => !pair.across)].slice(0, maxPairs)
  return { dataset: dataset.key, table, total: pairs.length, across: across.length, pairs: shown }
}

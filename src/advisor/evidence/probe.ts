import { createRandom } from '../../base/random.js'
import { fitClassifier, predictedClasses } from '../../classifiers/classifier.js'
import type { EmbeddingTable } from '../../embeddings/store/table.js'
import { learningCurveFolds } from '../../evaluation/plan/fold-generators.js'
import type { Items } from '../../evaluation/plan/items.js'
import { trainingRows } from '../../evaluation/plan/items.js'
import { type Fold, groupedFolds, stratifiedFolds } from '../../evaluation/plan/splitters.js'
import { deviation, mean } from '../../evaluation/statistics/intervals.js'
import { pickRows } from '../../trainers/linalg/gemm.js'
import { getTrainer } from '../../trainers/registry.js'

/** A linear classifier on frozen embeddings, cross-validated. */
export interface Probe {
  /** Mean over the folds. */
  readonly accuracy: number
  /** The same on the rows that it was fitted on. */
  readonly trainAccuracy: number
  /** `[folds of all repeats]`, accuracy on the held-out images. */
  readonly folds: readonly number[]
  /** See {@link probeError}. */
  readonly standardError: number
}

export interface ProbeContext {
  readonly seed: number
  readonly threads: number
  readonly signal?: AbortSignal | undefined
}

const probeTrainer = 'logistic'

/** A seeded part of the items with classes in proportion; all of them where there are no more than `most`. */
export function itemSample(items: Items, from: readonly number[], most: number, seed: number): number[] {
  if (from.length <= most) return [...from]
  const order = createRandom(seed).fork('advice sample').shuffled(from)
  const share = most / from.length
  const wanted = new Map<number, number>()
  for (const item of from) wanted.set(items.y[item]!, (wanted.get(items.y[item]!) ?? 0) + share)
  const taken = new Map<number, number>()
  return order
    .filter((item) => {
      const k = items.y[item]!
      const seen = taken.get(k) ?? 0
      if (seen >= Math.max(2, Math.round(wanted.get(k)!))) return false
      taken.set(k, seen + 1)
      return true
    })
    .sort((a, b) => a - b)
}

/**
 * Standard error of a cross-validated accuracy: the larger of what the folds' spread says and of the binomial one of so
 * many images, with two right and two wrong ones added (Agresti and Coull 1998), so that a handful all right is not
 * known for sure. Repeats of the cross-validation test the same images again and make neither smaller.
 *
 * @param held accuracies of the folds of all repeats
 * @param units images tested, a group counted once
 */
export function probeError(held: readonly number[], folds: number, units: number): number {
  const accuracy = mean(held) ?? 0
  const share = (accuracy * units + 2) / (units + 4)
  const binomial = Math.sqrt((share * (1 - share)) / (units + 4))
  return Math.max(binomial, (deviation(held) ?? 0) / Math.sqrt(Math.max(1, folds)))
}

/** Stratified folds over some of the items, whole groups together; item numbers are the table's. */
export function probeFolds(
  items: Items,
  sample: readonly number[],
  { folds, repeats, seed }: { readonly folds: number; readonly repeats: number; readonly seed: number },
): Fold[] {
  const input = { y: sample.map((item) => items.y[item]!), groups: sample.map((item) => items.groups[item]!) }
  const made = input.groups.some((group) => group !== null)
    ? groupedFolds(input, { folds, repeats, seed })
    : stratifiedFolds(input, { folds, repeats, seed })
  const back = (numbers: readonly number[]): number[] => numbers.map((i) => sample[i]!)
  return made
    .map((fold) => ({ ...fold, train: back(fold.train), test: back(fold.test) }))
    .filter((fold) => new Set(fold.train.map((item) => items.y[item])).size > 1)
}

async function fitOnce(
  table: EmbeddingTable,
  items: Items,
  fold: Pick<Fold, 'train' | 'test'>,
  context: ProbeContext,
): Promise<{ readonly held: number; readonly seen: number }> {
  const x = { data: table.x, rows: table.rows, cols: table.dim }
  const itemOfRow = new Map(
    fold.train.flatMap((item) => trainingRows(items, [item]).map((row) => [row, item] as const)),
  )
  const rows = [...itemOfRow.keys()]
  const train = pickRows(x, rows)
  const y = Int32Array.from(rows, (row) => items.y[itemOfRow.get(row)!]!)
  const classifier = await fitClassifier({
    trainer: getTrainer(probeTrainer),
    set: { x: train, y, classes: items.classes },
    seed: context.seed,
    threads: context.threads,
    provenance: { backbone: '', layer: table.layer, recipe: '' },
    signal: context.signal,
  })
  const right = async (matrix: typeof train, labels: ArrayLike<number>): Promise<number> => {
    const scores = await classifier.predictScores(matrix, { threads: context.threads })
    return predictedClasses(scores, items.classes.length).filter((k, i) => k === labels[i]).length / matrix.rows
  }
  const test = pickRows(
    x,
    fold.test.map((item) => items.rows[item]!),
  )
  return {
    held: await right(
      test,
      fold.test.map((item) => items.y[item]!),
    ),
    seen: await right(train, y),
  }
}

/** Cross-validates the probe over the given folds. */
export async function probe(
  table: EmbeddingTable,
  items: Items,
  folds: readonly Fold[],
  context: ProbeContext,
): Promise<Probe> {
  const results: { held: number; seen: number }[] = []
  for (const fold of folds) results.push(await fitOnce(table, items, fold, context))
  const held = results.map((result) => result.held)
  const tested = new Set(folds.flatMap(({ test }) => test.map((item) => items.groups[item] ?? `item ${item}`)))
  const inOne = folds.filter(({ repeat }) => repeat === 0).length
  return {
    accuracy: mean(held) ?? 0,
    trainAccuracy: mean(results.map((result) => result.seen)) ?? 0,
    folds: held,
    standardError: probeError(held, inOne, tested.size),
  }
}

/** Mean accuracy of the probe at shares of the training images, smaller ones inside larger ones. */
export async function probeCurve(
  table: EmbeddingTable,
  items: Items,
  folds: readonly Fold[],
  fractions: readonly number[],
  context: ProbeContext,
): Promise<{ readonly fraction: number; readonly rows: number; readonly value: number }[]> {
  const points: { fraction: number; rows: number; value: number }[] = []
  const smaller = learningCurveFolds({ y: items.y, groups: items.groups }, folds, fractions, context.seed)
  for (const fraction of fractions) {
    const own = smaller.filter((fold) => fold.fraction === fraction)
    const usable = own.filter((fold) => new Set(fold.train.map((item) => items.y[item])).size > 1)
    if (usable.length === 0) continue
    const { accuracy } = await probe(table, items, usable, context)
    points.push({ fraction, rows: mean(usable.map((fold) => fold.train.length)) ?? 0, value: accuracy })
  }
  return points
}

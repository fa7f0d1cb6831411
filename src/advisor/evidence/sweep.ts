import { mean } from '../../evaluation/statistics/intervals.js'
import { correctedResampledT, holm } from '../../evaluation/statistics/significance.js'
import type { Advice } from '../rules/advice-file.js'
import type { DepthTable } from './input.js'
import type { Probe } from './probe.js'

export type SweepRow = Advice['layers'][number]

/** What the sweep over the depth says about the images. */
export interface Sweep {
  /** From the first layer to the default one. */
  readonly rows: readonly SweepRow[]
  /**
   * The layer to take embeddings from: the default one unless an earlier one is better by a point or more, beyond
   * chance.
   */
  readonly best: SweepRow
  /** Best accuracy of the earlier layers over the default one's; 0 where none is better, null where there are none. */
  readonly lead: number | null
  /**
   * Share of the errors of the best layer in the lower half that the upper half of the network removes; null without
   * such a layer.
   */
  readonly upperRemoves: number | null
  /** The upper half does better than the lower one beyond chance: the network's own features fit. */
  readonly like: boolean
  /**
   * Up to here the features serve these images, above it they do not: an earlier layer that leads beyond chance, or one
   * of the lower half after which, beyond chance, less than a quarter of the errors is removed. Null where neither is
   * so.
   */
  readonly general: SweepRow | null
}

/** At which something counts as more than chance. */
const level = 0.05
/**
 * Of the errors. On images like the source's the upper half of a network removes about half of them: Zeiler and Fergus
 * 2014 (arXiv 1311.2901, table 7), linear SVMs on the third and on the last layer, Caltech-101 72.3 and 85.5 % right,
 * Caltech-256 46.0 and 71.7 %.
 */
const littleRemoved = 0.25

/** One-sided p that the mean difference is not above 0. */
function notAbove(differences: readonly number[], testShare: number): number {
  const test = correctedResampledT(differences, testShare)
  if (test === null || test.statistic === 0) return 1
  return test.statistic > 0 ? test.p / 2 : 1 - test.p / 2
}

/**
 * Compares the depths over the folds that they share, by the corrected resampled t-test, one-sided, after Holm's
 * correction for having looked at several layers. A row's `p`: how likely a layer that is no better than the default
 * one would look so much better.
 *
 * @param testShare test rows over training rows of a fold
 */
export function readSweep(depths: readonly DepthTable[], probes: readonly Probe[], testShare: number): Sweep {
  const own = probes.at(-1)!
  const earlier = probes.slice(0, -1)
  const leads = holm(
    earlier.map(({ folds }) =>
      notAbove(
        folds.map((value, f) => value - own.folds[f]!),
        testShare,
      ),
    ),
  )
  const rows = depths.map(({ table, depth }, i) => {
    const { accuracy, standardError, trainAccuracy } = probes[i]!
    return { name: table.layer, dim: table.dim, depth, accuracy, standardError, trainAccuracy, p: leads[i] ?? null }
  })
  const last = rows.at(-1)!
  const highest = (among: readonly SweepRow[]): SweepRow | undefined =>
    [...among].sort((a, b) => b.accuracy - a.accuracy)[0]
  const leader = highest(rows.filter(({ accuracy, p }) => accuracy >= last.accuracy + 0.01 && p !== null && p < level))

  const lower = earlier.map((probe, i) => ({ probe, row: rows[i]! })).filter(({ row }) => row.depth <= 0.5)
  const base = highest(lower.map(({ row }) => row))
  const spared = holm(
    lower.map(({ probe: { folds } }) =>
      notAbove(
        folds.map((value, f) => littleRemoved * (1 - value) - (own.folds[f]! - value)),
        testShare,
      ),
    ),
  )
  const flat = highest(lower.flatMap(({ row }, i) => (spared[i]! < level ? [row] : [])))
  // Better than every layer of the lower half.
  const like =
    lower.length > 0 &&
    lower.every(
      ({ probe: { folds } }) =>
        notAbove(
          folds.map((value, f) => own.folds[f]! - value),
          testShare,
        ) < level,
    )
  return {
    rows,
    best: leader ?? last,
    lead: earlier.length === 0 ? null : Math.max(0, (leader ?? highest(rows.slice(0, -1))!).accuracy - last.accuracy),
    upperRemoves: base ? (last.accuracy - base.accuracy) / Math.max(1e-9, 1 - base.accuracy) : null,
    like: like && leader === undefined && flat === undefined,
    general: leader ?? flat ?? null,
  }
}

/** Test rows over training rows of the folds, on average. */
export const testShareOf = (
  folds: readonly { readonly train: readonly number[]; readonly test: readonly number[] }[],
) => mean(folds.map(({ train, test }) => test.length / train.length)) ?? 0

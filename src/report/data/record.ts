import type { Point } from './curves.js'
import type { ReportFact, ReportMetric, ReportValue, ReportWarning } from './input.js'

/**
 * Everything a report says, as plain data: `report.json` is this record, and the HTML and Markdown are drawn from it.
 * Names are as shown (unseen characters written out).
 */
export interface ReportRecord {
  readonly format: 1
  readonly kind: 'fc7-report'
  readonly title: string
  readonly created?: string | undefined
  readonly verdict: Verdict
  readonly primaryMetric: string
  readonly metrics: readonly ReportMetric[]
  readonly datasets: readonly DatasetRecord[]
  /** Best first; baselines stand where their value puts them. */
  readonly ranking: readonly RankedRecord[]
  readonly comparisons: readonly ComparisonRecord[]
  readonly testName?: string | undefined
  /** Candidates with predictions, best first. */
  readonly details: readonly DetailRecord[]
  readonly protocol: readonly string[]
  readonly warnings: readonly ReportWarning[]
  readonly suspects: readonly SuspectRecord[]
  readonly duplicates: readonly DuplicateRecord[]
  readonly duplicateRule?: string | undefined
  readonly provenance: {
    readonly command?: string | undefined
    readonly seed?: string | undefined
    readonly experiment?: string | undefined
    readonly versions: readonly ReportFact[]
    readonly hashes: readonly ReportFact[]
    readonly machine: readonly ReportFact[]
  }
  /** What was left out to keep the report small, in words. */
  readonly limits: readonly string[]
}

export interface Verdict {
  /**
   * `winner`: better than every other, and the differences hold; `tie`: best, but not apart from all; `untested`;
   * `single`.
   */
  readonly kind: 'winner' | 'tie' | 'untested' | 'single' | 'empty'
  readonly headline: string
  readonly sentences: readonly string[]
}

export interface DatasetRecord {
  readonly name: string
  readonly rows: number
  readonly classes: readonly { readonly name: string; readonly rows: number }[]
  readonly unlabelled: number
  readonly positive?: string | undefined
}

export interface RankedRecord {
  /** 1 for the best; baselines have none. */
  readonly rank?: number | undefined
  readonly id: string
  readonly title: string
  readonly dataset: number
  readonly baseline: boolean
  readonly values: readonly ReportValue[]
  readonly facts: readonly ReportFact[]
  readonly fitSeconds?: number | undefined
  readonly predictSeconds?: number | undefined
  readonly modelBytes?: number | undefined
  readonly peakBytes?: number | undefined
}

export interface ComparisonRecord {
  readonly dataset: number
  readonly a: string
  readonly b: string
  readonly metric: string
  readonly difference: number
  readonly low?: number | undefined
  readonly high?: number | undefined
  readonly p: number
  readonly pAdjusted: number
  readonly holds: boolean
  readonly test: string
}

export interface ClassRecord {
  readonly name: string
  readonly support: number
  readonly precision: number
  readonly recall: number
  readonly f1: number
  readonly rocAuc?: number | undefined
  readonly averagePrecision?: number | undefined
}

/** A bin of confidence with rows in it. */
export interface CalibrationBin {
  readonly low: number
  readonly high: number
  readonly count: number
  /** Mean confidence of its rows. */
  readonly confidence: number
  /** Share of them that is right. */
  readonly accuracy: number
}

export interface CurveRecord {
  /** A class, or `mean of classes`. */
  readonly name: string
  readonly area: number
  readonly points: readonly Point[]
}

export interface DetailRecord {
  readonly id: string
  readonly title: string
  readonly dataset: number
  readonly baseline: boolean
  readonly note?: string | undefined
  readonly rows: number
  readonly right: number
  /** `[true][predicted]`, indices into the data set's classes. */
  readonly confusion: readonly (readonly number[])[]
  readonly classes: readonly ClassRecord[]
  readonly roc?: readonly CurveRecord[] | undefined
  readonly precisionRecall?: readonly CurveRecord[] | undefined
  readonly calibration?: { readonly bins: readonly CalibrationBin[]; readonly error: number } | undefined
  readonly learningCurve?:
    | readonly {
        readonly rows: number
        readonly value: number
        readonly low?: number | undefined
        readonly high?: number | undefined
      }[]
    | undefined
  readonly mistakes: readonly MistakeRecord[]
}

export interface MistakeRecord {
  readonly row: number
  readonly id: string
  readonly label: string
  readonly predicted: string
  /** Probability given to the predicted class, or null for scores without a scale. */
  readonly confidence: number | null
  /** Probability given to the label. */
  readonly labelConfidence: number | null
}

export interface SuspectRecord {
  readonly dataset: number
  readonly row: number
  readonly id: string
  readonly label: string
  readonly suggested: string
  readonly score: number
}

export interface DuplicateRecord {
  readonly dataset: number
  readonly a: number
  readonly b: number
  readonly idA: string
  readonly idB: string
  readonly labelA: string
  readonly labelB: string
  readonly cosine?: number | undefined
  readonly bits?: number | undefined
  readonly where?: string | undefined
}

/**
 * What a report is drawn from: plain data, and a way to read larger images. `from-evaluation.ts` fills it from an
 * evaluation folder; anything else that has predictions can fill it too.
 */
export interface ReportInput {
  readonly title: string
  /** When the evaluation ended, ISO 8601; left out, the report bears no date (and stays equal for equal input). */
  readonly created?: string | undefined
  readonly datasets: readonly ReportDataset[]
  readonly candidates: readonly ReportCandidate[]
  /** The metric that ranks, an `id` of {@link metrics}. */
  readonly primaryMetric: string
  readonly metrics: readonly ReportMetric[]
  readonly comparisons: readonly ReportComparison[]
  /** How the pairs were tested, in words, such as "corrected resampled t-test, Holm-adjusted". */
  readonly testName?: string | undefined
  /** What the evaluation says in words; shown below the headline that the report writes itself. */
  readonly sentences: readonly string[]
  /** The protocol in words: folds, repeats, tuning, what was held out. */
  readonly protocol: readonly string[]
  readonly warnings: readonly ReportWarning[]
  readonly suspects: readonly ReportSuspect[]
  readonly duplicates: readonly ReportDuplicate[]
  /** The rule that made a pair a duplicate, in words. */
  readonly duplicateRule?: string | undefined
  readonly provenance: ReportProvenance
}

/** The images that candidates were tested on. */
export interface ReportDataset {
  readonly name: string
  readonly classes: readonly string[]
  /** `[rows]`, what a reader knows an image by (its relative path). */
  readonly ids: readonly string[]
  /** `[rows]`, index into `classes`, or -1 without a label. */
  readonly labels: Int32Array
  /** The class that counts as positive, where there are two. */
  readonly positive?: string | undefined
  /** WebP, PNG or JPEG bytes by id, about 48 pixels. */
  readonly thumbnails: ReadonlyMap<string, Uint8Array>
  /**
   * Larger images (WebP, PNG or JPEG bytes by id), read when it is known which are needed: at most 300 are asked for,
   * those that can be had come back.
   */
  readonly readImages?:
    | ((ids: readonly string[], signal?: AbortSignal) => Promise<ReadonlyMap<string, Uint8Array>>)
    | undefined
  /** Rows of one layer for the map: `data` is `[rows.length, cols]`, `rows` indexes `ids`. */
  readonly embedding?: {
    readonly title: string
    readonly rows: Int32Array
    readonly data: Float32Array
    readonly cols: number
  }
}

/** One trainer on one store and layer. */
export interface ReportCandidate {
  /** Unique among the candidates. */
  readonly id: string
  /** What the reader sees, such as "linear-svm" or "resnet50 · avg_pool · linear-svm". */
  readonly title: string
  /** Index into `datasets`. */
  readonly dataset: number
  /** A baseline (majority, permuted labels) is shown beside the others and never wins. */
  readonly baseline: boolean
  readonly metrics: readonly ReportValue[]
  readonly outcome?: ReportOutcome | undefined
  readonly learningCurve?: readonly {
    /** Training rows. */
    readonly rows: number
    readonly value: number
    readonly low?: number | undefined
    readonly high?: number | undefined
  }[]
  /** Facts such as chosen parameters, inner search result, support vectors; shown as a list. */
  readonly facts: readonly ReportFact[]
  readonly fitSeconds?: number | undefined
  readonly predictSeconds?: number | undefined
  readonly modelBytes?: number | undefined
  readonly peakBytes?: number | undefined
}

/** Predictions on rows that were not trained on; a row appears once. */
export interface ReportOutcome {
  /** `[n]`, index into the data set's rows. */
  readonly rows: Int32Array
  /** `[n]`, index into the classes. */
  readonly predicted: Int32Array
  /** `[n, classes]`, larger means more likely. */
  readonly scores?: Float32Array | undefined
  readonly scoreKind: 'probability' | 'decision'
  /** One line on where these rows come from, such as "out-of-fold, first of 3 repeats". */
  readonly note?: string | undefined
}

export interface ReportMetric {
  readonly id: string
  readonly title: string
  readonly higherIsBetter: boolean
  /** `percent` prints 0.913 as 91.3 %. */
  readonly format: 'percent' | 'number'
}

export interface ReportValue {
  readonly metric: string
  readonly value: number
  readonly low?: number | undefined
  readonly high?: number | undefined
}

/** Candidate `a` against `b` on one metric: the difference is a − b. */
export interface ReportComparison {
  readonly a: string
  readonly b: string
  readonly metric: string
  readonly difference: number
  readonly low?: number | undefined
  readonly high?: number | undefined
  readonly p: number
  readonly pAdjusted: number
  /** Whether the difference holds at the level the evaluation used. */
  readonly holds: boolean
  readonly test: string
}

export interface ReportWarning {
  readonly level: 'note' | 'warning'
  readonly text: string
}

/** An image whose label may be wrong. */
export interface ReportSuspect {
  readonly dataset: number
  readonly row: number
  /** Index of the class that fits better. */
  readonly suggested: number
  /** In [0, 1], larger is more suspicious. */
  readonly score: number
}

/** Two images that look like one. */
export interface ReportDuplicate {
  readonly dataset: number
  readonly a: number
  readonly b: number
  /** Cosine of the embeddings. */
  readonly cosine?: number | undefined
  /** Differing bits of the two dHashes. */
  readonly bits?: number | undefined
  /** Where they lie, such as "across folds" or "train / test". */
  readonly where?: string | undefined
}

export interface ReportFact {
  readonly name: string
  readonly value: string
}

export interface ReportProvenance {
  readonly command?: string | undefined
  readonly seed?: string | undefined
  /** The experiment file's text, if there was one. */
  readonly experiment?: string | undefined
  readonly versions: readonly ReportFact[]
  readonly hashes: readonly ReportFact[]
  readonly machine: readonly ReportFact[]
}

import { z } from 'zod'
import { metricIds } from '../metrics/registry.js'
import { protocolSchema } from '../plan/protocol.js'

const count = z.int().min(0)
const real = z.number()
const maybe = z.number().nullable()
const value = z.union([z.number(), z.string(), z.boolean()])
const params = z.array(z.tuple([z.string(), value]))
const intervalSchema = z.object({ low: real, high: real })

const measureSchema = z.object({
  /** Over all test predictions together; ranking metrics of margins are averaged over fits. Null where undefined. */
  value: maybe,
  /** 95 % bootstrap interval over images (or groups). */
  low: maybe,
  high: maybe,
  /** The metric on each main fold, in plan order, with mean and sample deviation: scikit-learn's view of the same. */
  folds: z.array(maybe),
  mean: maybe,
  deviation: maybe,
})
export type Measure = z.infer<typeof measureSchema>

const proportionSchema = z.object({
  value: maybe,
  hits: count,
  rows: count,
  wilson: intervalSchema,
  clopper: intervalSchema,
})

const metricsShape = Object.fromEntries(metricIds.map((id) => [id, measureSchema])) as Record<
  (typeof metricIds)[number],
  typeof measureSchema
>

export const resultSchema = z.object({
  table: z.string(),
  trainer: z.string(),
  dataset: z.string(),
  /** For tables and figures: the trainer's title, and the table's name where there are several. */
  title: z.string(),
  scoreKind: z.enum(['probability', 'decision']),
  predictions: count,
  metrics: z.object(metricsShape),
  classes: z.array(
    z.object({
      label: z.string(),
      precision: maybe,
      recall: maybe,
      f1: maybe,
      support: count,
      auc: maybe,
      averagePrecision: maybe,
    }),
  ),
  /** `[true class][predicted class]`, counts over all predictions. */
  confusion: z.array(z.array(count)),
  /** 15 bins of confidence; null for margins. */
  calibration: z.array(z.object({ from: real, to: real, rows: count, confidence: maybe, accuracy: maybe })).nullable(),
  /** Binary tasks with a known positive class. */
  operating: z
    .object({
      /** How the threshold was chosen, in words. */
      rule: z.string(),
      /**
       * One of each main fit, in the order of `fits`: from this score of the positive class on an image is called
       * positive.
       */
      thresholds: z.array(real),
      sensitivity: proportionSchema,
      specificity: proportionSchema,
      positivePredictive: proportionSchema,
      negativePredictive: proportionSchema,
    })
    .nullable(),
  /** Points of the learning curve, the full training side last; empty without one. */
  curve: z.array(z.object({ fraction: real, trainRows: real, mean: maybe, values: z.array(maybe) })),
  /** The same predictions against shuffled truth: what the metric would say if nothing had been learned. */
  permutation: z.object({ mean: maybe, high: maybe, p: maybe, shuffles: count }),
  fits: z.array(
    z.object({
      fold: z.string(),
      trainRows: count,
      testItems: count,
      fitMs: real,
      tuneMs: real,
      predictMs: real,
      modelBytes: count,
      /** Null where other fits ran beside it. */
      peakMemoryBytes: maybe,
      params,
      trials: z.array(z.object({ params, scores: z.array(maybe), mean: maybe })),
      facts: z.array(z.tuple([z.string(), z.union([z.number(), z.string()])])),
    }),
  ),
  /** Means over the main fits; the memory is the largest of those that ran alone, null where none did. */
  timing: z.object({ fitMs: real, tuneMs: real, predictMsPerItem: real, modelBytes: real, peakMemoryBytes: maybe }),
  /** True when the trainer saw only a part of the training images (`maxTrainItems`). */
  limited: z.boolean(),
})
export type Result = z.infer<typeof resultSchema>

const sideSchema = z.object({ table: z.string(), trainer: z.string() })
export const differenceSchema = z.object({
  dataset: z.string(),
  better: sideSchema,
  worse: sideSchema,
  /** Of the primary metric, better minus worse, never negative in the metric's own sense. */
  difference: real,
  low: maybe,
  high: maybe,
  test: z.enum(['mcnemar-mid-p', 'corrected-resampled-t', 'paired-bootstrap', 'none']),
  statistic: maybe,
  p: maybe,
  /** Holm-corrected over all pairs of the data set. */
  adjusted: maybe,
  /** True when `adjusted` is below 0.05. */
  holds: z.boolean(),
})
export type Difference = z.infer<typeof differenceSchema>

export const friedmanSchema = z.object({
  statistic: real,
  p: real,
  datasets: z.array(z.string()),
  ranks: z.array(z.object({ trainer: z.string(), meanRank: real })),
  pairs: z.array(
    z.object({ better: z.string(), worse: z.string(), statistic: real, p: real, adjusted: real, holds: z.boolean() }),
  ),
})
export type FriedmanRecord = z.infer<typeof friedmanSchema>

const pairSchema = z.object({
  a: z.string(),
  b: z.string(),
  cosine: maybe,
  /** Bits of the two dHashes that differ. */
  distance: count.nullable(),
  /** True when some fold trains on one and tests on the other. */
  across: z.boolean(),
  sameLabel: z.boolean(),
})
export const guardsSchema = z.object({
  warnings: z.array(z.object({ code: z.string(), text: z.string() })),
  duplicates: z.array(
    z.object({
      dataset: z.string(),
      table: z.string(),
      rule: z.string(),
      /** Null when the data set was too large to compare all embeddings. */
      compared: z.enum(['all', 'hashes', 'none']),
      total: count,
      across: count,
      /** The most similar first, at most 200. */
      pairs: z.array(pairSchema),
    }),
  ),
  suspects: z.array(
    z.object({
      dataset: z.string(),
      /** Whose out-of-fold probabilities were asked. */
      table: z.string(),
      trainer: z.string(),
      items: z.array(z.object({ id: z.string(), label: z.string(), suggested: z.string(), own: real, other: real })),
    }),
  ),
})
export type Guards = z.infer<typeof guardsSchema>
export type DuplicatePair = z.infer<typeof pairSchema>

/** `evaluation.json`, format 1: everything a report says, except images and single predictions. */
export const evaluationSchema = z.object({
  format: z.literal(1),
  /** sha256 of plan.json. */
  plan: z.string(),
  provenance: z.object({
    /** As typed, for whoever wants to repeat it. */
    command: z.string().nullable(),
    /** Text of the experiment file that repeats the run; null for a run from a program. */
    experiment: z.string().nullable(),
    created: z.string().nullable(),
    versions: z.array(z.tuple([z.string(), z.string()])),
    machine: z.array(z.tuple([z.string(), z.union([z.string(), z.number()])])),
  }),
  seed: z.union([z.int(), z.string()]),
  metric: z.enum(metricIds),
  resamples: count,
  level: real,
  datasets: z.array(
    z.object({
      key: z.string(),
      name: z.string(),
      fingerprint: z.string(),
      items: count,
      unlabelled: count,
      classes: z.array(z.object({ label: z.string(), items: count, tested: count })),
      positive: z.object({ label: z.string(), source: z.enum(['given', 'inferred']) }).nullable(),
      protocol: protocolSchema,
      protocolText: z.string(),
      folds: z.array(z.object({ id: z.string(), repeat: count, train: count, test: count })),
      /** Always the largest class of the training side. */
      majority: z.object({ label: z.string(), accuracy: real, meanClassAccuracy: real }),
    }),
  ),
  tables: z.array(
    z.object({
      key: z.string(),
      name: z.string(),
      dataset: z.string(),
      layer: z.string(),
      dim: count,
      rows: count,
      strayViews: count,
      store: z.object({ path: z.string(), backbone: z.string(), planHash: z.string(), recipe: z.string() }).nullable(),
    }),
  ),
  trainers: z.array(
    z.object({
      key: z.string(),
      id: z.string(),
      title: z.string(),
      params,
      preprocess: z.string(),
      calibrate: z.string().nullable(),
      classWeight: z.string(),
      maxTrainItems: count.nullable(),
      /** Kind, inner folds and number of candidates of the search; null without one. */
      tune: z.object({ search: z.string(), innerFolds: count, candidates: count }).nullable(),
    }),
  ),
  /** Best first within each data set, by the primary metric. */
  results: z.array(resultSchema),
  differences: z.array(differenceSchema),
  friedman: friedmanSchema.nullable(),
  /** The outcome in sentences. */
  words: z.array(z.string()),
  guards: guardsSchema.nullable(),
})
export type Evaluation = z.infer<typeof evaluationSchema>

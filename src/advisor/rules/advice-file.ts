import { z } from 'zod'
import { strategies } from './facts.js'

const share = z.number()
const strategy = z.enum(strategies)
const votes = z.record(strategy, z.number())

/** `advice.json`: everything that was measured and what follows from it. docs/advise.md explains it. */
export const adviceSchema = z.strictObject({
  format: z.literal(1),
  data: z.strictObject({
    name: z.string(),
    images: z.int(),
    unlabelled: z.int(),
    /**
     * Images that the measurements were made on; fewer than all where sampling kept them short. The test split is never
     * among them.
     */
    used: z.int(),
    classes: z.int(),
    usedClasses: z.int(),
    perClass: z.strictObject({ median: z.number(), least: z.int(), most: z.int() }),
    groups: z.int(),
    /** Pairs of near-duplicates among the images used. */
    duplicates: z.int(),
    largestClass: share,
  }),
  backbone: z.strictObject({ id: z.string(), layer: z.string(), recipe: z.string() }),
  probe: z.strictObject({
    accuracy: share,
    standardError: share,
    trainAccuracy: share,
    folds: z.array(share),
  }),
  curve: z.strictObject({
    points: z.array(z.strictObject({ fraction: share, rows: z.number(), value: share })),
    fit: z.strictObject({ a: z.number(), b: z.number(), c: z.number(), rmse: z.number() }).nullable(),
    doubling: z.number().nullable(),
  }),
  layers: z.array(
    z.strictObject({
      name: z.string(),
      dim: z.int(),
      /** Weighted layers up to here in parts of those up to the default layer. */
      depth: z.number(),
      accuracy: share,
      standardError: share,
      trainAccuracy: share,
      /** Of a layer no better than the default one looking so much better (sweep.ts); null for the default one. */
      p: z.number().nullable(),
    }),
  ),
  /** The layer that transfers best: the default one unless an earlier one is better beyond chance. */
  bestLayer: z.string(),
  source: z.strictObject({
    /** Null where no statistics of the source's images exist for this backbone, layer and recipe; `note` says so. */
    frechet: z.number().nullable(),
    kernel: z.number().nullable(),
    entropy: z.number().nullable(),
    note: z.string(),
  }),
  weak: z.strictObject({ logMe: z.number(), hScore: z.number(), rows: z.int() }),
  cost: z.array(
    z.strictObject({ strategy: z.enum(['embeddings', 'head', 'last', 'all']), seconds: z.number(), about: z.string() }),
  ),
  verdict: z.strictObject({
    strategy,
    runnerUp: strategy,
    votes,
    confidence: z.enum(['high', 'medium', 'low']),
    /** Why confidence is not higher. */
    doubts: z.array(z.string()),
    headline: z.string(),
    layer: z.string(),
    freezeUntil: z.string().nullable(),
    augment: z.boolean(),
    evidence: z.array(
      z.strictObject({
        rule: z.string(),
        text: z.string(),
        source: z.string(),
        votes: z.partialRecord(strategy, z.number()),
        weight: z.number(),
      }),
    ),
    wouldChange: z.array(z.string()),
    /** The command to run next. */
    command: z.string(),
  }),
  notes: z.array(z.string()),
  seed: z.int(),
})

export type Advice = z.infer<typeof adviceSchema>

import { z } from 'zod'
import { Fc7Error } from '../../base/errors.js'
import { sha256 } from '../../base/files.js'
import { testViewNames } from '../../images/augment/augment-plan.js'
import { recipeSchema } from '../../images/recipe/recipe.js'

const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/)

/** More rows of one image say nothing new; the store's column is a uint16. */
export const maxViews = 1000

/** `plan.json`: everything that decides the values of a store. Its hash is the store's identity. */
export const planSchema = z.strictObject({
  format: z.literal(1),
  dataset: z.strictObject({ name: z.string(), items: z.int().min(0), fingerprint: sha256Hex }),
  backbone: z.strictObject({ id: z.string(), sha256: sha256Hex }),
  layers: z.array(z.strictObject({ name: z.string(), tensor: z.string(), dim: z.int().positive() })).min(1),
  pool: z.enum(['avg', 'max', 'none']),
  /** Null for embeddings made elsewhere. */
  recipe: z.strictObject({ name: z.string(), steps: recipeSchema }).nullable(),
  resize: z.enum(['exact', 'fast']),
  orient: z.boolean(),
  /** Rows of each training image: itself and `views` − 1 augmented ones. Images of val and test have one row. */
  views: z.int().min(1).max(maxViews),
  /** Row 0 of every image outside the train split is the mean over these views; absent: the image by its recipe. */
  testViews: z.enum(testViewNames).optional(),
  seed: z.union([z.int(), z.string()]),
  rewrites: z.array(z.string()),
  provider: z.string(),
  precision: z.enum(['float32', 'float16']),
  thumbs: z.boolean(),
  limit: z.int().positive().nullable(),
  /** First item of each shard, in plan order; the last shard ends at `dataset.items`. */
  shards: z.array(z.int().min(0)),
})

export type ExtractionPlan = z.infer<typeof planSchema>

/** What planExtraction() needs to know; everything that was measured or looked up comes in as plain data. */
export interface PlanInput {
  readonly dataset: ExtractionPlan['dataset']
  readonly backbone: ExtractionPlan['backbone']
  readonly layers: ExtractionPlan['layers']
  readonly pool: ExtractionPlan['pool']
  readonly recipe: ExtractionPlan['recipe']
  readonly resize?: ExtractionPlan['resize'] | undefined
  readonly orient?: boolean | undefined
  readonly views?: number | undefined
  readonly testViews?: ExtractionPlan['testViews'] | undefined
  readonly seed?: number | string | undefined
  readonly rewrites?: readonly string[] | undefined
  readonly provider?: string | undefined
  readonly precision?: ExtractionPlan['precision'] | undefined
  readonly thumbs?: boolean | undefined
  readonly limit?: number | null | undefined
  /** Items a shard. Default {@link defaultShardSize}. */
  readonly shardSize?: number | undefined
}

const maxShardBytes = 32 << 20

/** Items a shard holds by default: 1,024, fewer when a shard's float32 values would pass 32 MiB. */
export function defaultShardSize(dims: readonly number[], views = 1): number {
  const bytesPerItem = dims.reduce((sum, dim) => sum + dim * 4, 0) * views
  return Math.max(16, Math.min(1024, Math.floor(maxShardBytes / bytesPerItem)))
}

/**
 * The plan of an extraction, as plain data; pure, so equal input gives an equal plan.
 *
 * @throws Fc7Error PLAN_EMPTY when there is no item
 */
export function planExtraction(input: PlanInput): ExtractionPlan {
  const items = input.dataset.items
  if (items === 0)
    throw new Fc7Error('PLAN_EMPTY', `${input.dataset.name} holds no image.`, {
      hint: 'Point fc7 at a folder with images.',
    })
  const shardSize =
    input.shardSize ??
    defaultShardSize(
      input.layers.map((layer) => layer.dim),
      input.views,
    )
  if (!Number.isInteger(shardSize) || shardSize < 1) {
    throw new Fc7Error('USAGE_SHARD_SIZE', `--shard-size ${shardSize} is not a positive whole number.`, {
      hint: 'Leave it out for a size that suits the layer.',
    })
  }
  return {
    format: 1,
    dataset: input.dataset,
    backbone: input.backbone,
    layers: input.layers.map(({ name, tensor, dim }) => ({ name, tensor, dim })),
    pool: input.pool,
    recipe: input.recipe,
    resize: input.resize ?? 'exact',
    orient: input.orient ?? false,
    views: input.views ?? 1,
    testViews: input.testViews,
    seed: input.seed ?? 0,
    rewrites: [...(input.rewrites ?? [])],
    provider: input.provider ?? 'cpu',
    precision: input.precision ?? 'float32',
    thumbs: input.thumbs ?? true,
    limit: input.limit ?? null,
    shards: Array.from({ length: Math.ceil(items / shardSize) }, (_, i) => i * shardSize),
  }
}

/** The bytes of plan.json, and the identity they hash to. */
export function encodePlan(plan: ExtractionPlan): { readonly text: string; readonly hash: string } {
  const text = `${JSON.stringify(planSchema.parse(plan), null, 2)}\n`
  return { text, hash: sha256(text) }
}

/** First and one past last item of shard `i`. */
export function shardRange(plan: ExtractionPlan, i: number): { readonly start: number; readonly end: number } {
  return { start: plan.shards[i]!, end: plan.shards[i + 1] ?? plan.dataset.items }
}

/** The shards that process `part` of `parts` computes. @throws Fc7Error USAGE_SHARD */
export function shardsOfPart(plan: ExtractionPlan, parts: number, part: number): number[] {
  if (!(Number.isInteger(parts) && Number.isInteger(part) && parts >= 1 && part >= 0 && part < parts)) {
    throw new Fc7Error('USAGE_SHARD', `--shards ${parts} --shard ${part} does not name a part.`, {
      hint: 'Parts count from 0: --shards 4 --shard 0 … 3.',
    })
  }
  return plan.shards.map((_, i) => i).filter((i) => i % parts === part)
}

/** The fields in which two plans differ, in words, for the error that refuses to mix them. */
export function planDifferences(a: ExtractionPlan, b: ExtractionPlan): string[] {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]) as Set<keyof ExtractionPlan>
  return [...keys].filter((key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]))
}

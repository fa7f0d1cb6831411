import { z } from 'zod'
import { Fc7Error } from '../../base/errors.js'
import { type AugmentationSettings, defaultAugmentation } from '../../images/augment/augment-plan.js'

export const strategies = ['head', 'last', 'all', 'scratch', 'lp-ft'] as const
export type Strategy = (typeof strategies)[number]

/** Views of each image that are cached under augmentation, at most. */
export const defaultViews = 4

const count = z.int().min(1)
const share = z.number().min(0).lt(1)
const chance = z.number().min(0).max(1)

/** How to fine-tune, as a user says it. Everything left out has a default that the plan shows. */
export const optionsSchema = z.strictObject({
  strategy: z.enum(strategies).default('head'),
  /** Layer up to which `last` freezes the network. Default: below the last stage. */
  freezeUntil: z.string().optional(),
  epochs: count.max(100_000).optional(),
  batchSize: count.max(65_536).default(16),
  /** Batches whose gradients are averaged before a step. */
  gradAccumSteps: count.max(4096).default(1),
  optimizer: z.enum(['sgd', 'adam', 'adamw']).optional(),
  lr: z.number().positive().max(100).optional(),
  /** Learning rate of the new layer over that of the pretrained ones. */
  headLrFactor: z.number().positive().max(10_000).default(10),
  /** Learning rate of the lowest layer that trains over that of the highest; geometric between them. */
  depthLrFactor: z.number().positive().max(1).default(1),
  weightDecay: z.number().min(0).max(10).optional(),
  schedule: z.enum(['cosine', 'step', 'constant']).default('cosine'),
  /** Share of all steps in which the rate rises from 0. */
  warmup: share.default(0.05),
  /**
   * Largest norm of the whole gradient, 0 for no limit. Default: 1 where pretrained weights train, none from scratch.
   */
  clipNorm: z.number().min(0).optional(),
  labelSmoothing: share.default(0),
  /** Share of the features set to 0 before the new layer, at random at every step. */
  dropout: share.default(0),
  /** The α of mixup: images and labels are blended in pairs by shares from Beta(α, α). 0 for none. */
  mixup: z.number().min(0).max(4).default(0),
  classWeight: z.enum(['balanced', 'none']).default('none'),
  /** Label of the positive class: two classes become one output with a sigmoid. */
  positive: z.string().optional(),
  batchNorm: z.enum(['frozen', 'train']).optional(),
  augment: z.boolean().default(true),
  /** Largest turn either way, in degrees. */
  rotation: z.number().min(0).max(180).default(defaultAugmentation.rotationDegrees),
  /** Probability of a grey view, and of one with a rectangle painted over. */
  grayscale: chance.default(defaultAugmentation.grayscale),
  randomErasing: chance.default(defaultAugmentation.randomErasing),
  cache: z.boolean().optional(),
  cacheBudgetBytes: z
    .number()
    .positive()
    .default(2 * 2 ** 30),
  /** Views of each image to cache under augmentation, where the budget allows. */
  views: count.max(64).default(defaultViews),
  patience: count.optional(),
  seed: z.int().min(0).default(0),
  memoryBytes: z.number().positive().optional(),
})
export type FinetuneOptions = z.infer<typeof optionsSchema>

/** How training images are varied where `augment` is on. */
export const augmentationOf = ({ rotation, grayscale, randomErasing }: FinetuneOptions): AugmentationSettings => ({
  ...defaultAugmentation,
  rotationDegrees: rotation,
  grayscale,
  randomErasing,
})

/** @throws Fc7Error USAGE_FINETUNE naming the first option that is wrong */
export function parseOptions(value: unknown): FinetuneOptions {
  const parsed = optionsSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const name = issue?.path.join('.').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`) || 'the options'
  throw new Fc7Error('USAGE_FINETUNE', `--${name}: ${issue?.message ?? 'not valid'}.`, {
    hint: '`fc7 finetune --help` lists what each option takes.',
  })
}

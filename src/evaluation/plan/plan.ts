import { z } from 'zod'
import { Fc7Error } from '../../base/errors.js'
import { sha256 } from '../../base/files.js'
import { createRandom } from '../../base/random.js'
import type { EmbeddingTable } from '../../embeddings/store/table.js'
import type { ParamValue, Trainer } from '../../trainers/contract.js'
import { type RawParams, resolveParams } from '../../trainers/params.js'
import { formatPreprocess, parsePreprocess } from '../../trainers/preprocess/preprocess.js'
import { getTrainer } from '../../trainers/registry.js'
import { type OperatingRule, operatingRuleSchema, positiveClass } from '../metrics/operating-point.js'
import { metricIds, metricSpec } from '../metrics/registry.js'
import { type Items, itemsFingerprint, itemsOf } from './items.js'
import { type FoldOptions, foldSchema, type PlannedFold, planFolds, protocolSchema } from './protocol.js'
import { type TuneOptions, tunePlan, tuneSchema } from './tuning-plan.js'

const index = z.int().min(0)
const value = z.union([z.number(), z.string(), z.boolean()])
const paramsSchema = z.array(z.tuple([z.string(), value]))

/** `plan.json`: everything that decides the predictions of a comparison. Its hash is the identity of the evaluation. */
export const planSchema = z.strictObject({
  format: z.literal(1),
  seed: z.union([z.int(), z.string()]),
  metric: z.enum(metricIds),
  resamples: z.int().min(1),
  /** Threshold of binary tasks. */
  operating: operatingRuleSchema,
  datasets: z.array(
    z.strictObject({
      key: z.string(),
      name: z.string(),
      fingerprint: z.string(),
      items: index,
      unlabelled: index,
      classes: z.array(z.string()),
      positive: z.strictObject({ label: z.string(), source: z.enum(['given', 'inferred']) }).nullable(),
      protocol: protocolSchema,
      folds: z.array(foldSchema),
    }),
  ),
  tables: z.array(
    z.strictObject({
      key: z.string(),
      name: z.string(),
      dataset: z.string(),
      layer: z.string(),
      dim: index,
      rows: index,
      strayViews: index,
      /** Identity of the store, null for a table that came from elsewhere. */
      store: z.strictObject({ backbone: z.string(), planHash: z.string(), recipe: z.string() }).nullable(),
    }),
  ),
  trainers: z.array(
    z.strictObject({
      key: z.string(),
      id: z.string(),
      title: z.string(),
      params: paramsSchema,
      preprocess: z.string(),
      calibrate: z.enum(['sigmoid', 'isotonic']).nullable(),
      classWeight: z.enum(['none', 'balanced']),
      /** At most this many training images, for reference trainers that cannot take more. */
      maxTrainItems: index.nullable(),
      tune: tuneSchema.nullable(),
    }),
  ),
  fits: z.array(
    z.strictObject({ id: z.string(), table: z.string(), trainer: z.string(), fold: z.string(), seed: index }),
  ),
})
export type ComparisonPlan = z.infer<typeof planSchema>
export type PlannedFit = ComparisonPlan['fits'][number]
export type PlannedTrainer = ComparisonPlan['trainers'][number]

/** One store's layer to compare on. */
export interface ComparisonTable {
  /** As the report shows it, such as `resnet50 · avg_pool`. */
  readonly name: string
  readonly dataset?: string | undefined
  readonly table: EmbeddingTable
  readonly store?: {
    readonly path: string
    readonly backbone: string
    readonly planHash: string
    readonly recipe: string
  }
  /** 64-bit dHash (16 hex digits) by id, for the duplicate guard. */
  readonly dHashes?: ReadonlyMap<string, string> | undefined
  /** Ids of images that the backbone itself was fine-tuned on: they are refused as test images. */
  readonly trainedOn?: ReadonlySet<string> | undefined
}

/** A trainer to compare, by id or with settings. */
export interface TrainerChoice {
  readonly id: string
  /** Name in the report when one trainer takes part twice. */
  readonly key?: string | undefined
  readonly params?: RawParams | undefined
  readonly preprocess?: string | undefined
  readonly calibrate?: PlannedTrainer['calibrate'] | undefined
  readonly classWeight?: 'none' | 'balanced' | undefined
  readonly maxTrainItems?: number | undefined
  readonly tune?: TuneOptions | boolean | undefined
}

/** The protocol's options default to what the data say (see planFolds). */
export interface ComparisonOptions extends Omit<FoldOptions, 'seed'> {
  readonly tables: readonly ComparisonTable[]
  readonly trainers: readonly (string | TrainerChoice)[]
  readonly metric?: string | undefined
  readonly positive?: string | undefined
  /** Threshold of a binary task; default the classifier's own decision. */
  readonly operating?: OperatingRule | undefined
  readonly seed?: number | string | undefined
  readonly resamples?: number | undefined
  readonly tune?: TuneOptions | boolean | undefined
  /** Where trainers come from; the registry by default. */
  readonly findTrainer?: ((id: string) => Trainer) | undefined
}

const known = (options: ComparisonOptions) => options.findTrainer ?? getTrainer

function plannedTrainers(options: ComparisonOptions): PlannedTrainer[] {
  const taken = new Set<string>()
  return options.trainers.map((choice): PlannedTrainer => {
    const wanted: TrainerChoice = typeof choice === 'string' ? { id: choice } : choice
    const trainer = known(options)(wanted.id)
    const base = wanted.key ?? wanted.id
    let key = base
    for (let i = 2; taken.has(key); i++) key = `${base}-${i}`
    taken.add(key)
    const tune = wanted.tune ?? options.tune ?? false
    const params: [string, ParamValue][] = [...resolveParams(trainer.params, wanted.params ?? new Map())]
    return {
      key,
      id: trainer.id,
      title: trainer.title,
      params,
      preprocess: formatPreprocess(parsePreprocess(wanted.preprocess ?? trainer.defaultPreprocess)),
      calibrate: wanted.calibrate ?? null,
      classWeight: wanted.classWeight ?? 'none',
      maxTrainItems: wanted.maxTrainItems ?? null,
      tune:
        tune === false ? null : tunePlan(trainer, wanted.params ?? new Map(), tune === true ? {} : tune, key, options),
    }
  })
}

function checkTables(tables: readonly ComparisonTable[]): void {
  if (tables.length === 0)
    throw new Fc7Error('USAGE_NOTHING', 'There is no store to compare on.', { hint: 'Name at least one store.' })
}

/** Refuses test images that the backbone was fine-tuned on: it has seen their labels. */
function checkTrainedOn(input: ComparisonTable, items: Items, folds: readonly PlannedFold[]): void {
  if (!input.trainedOn || input.trainedOn.size === 0) return
  const seen = new Set<number>()
  for (const fold of folds) for (const item of fold.test) if (input.trainedOn.has(items.ids[item]!)) seen.add(item)
  const first = [...seen][0]
  if (first === undefined) return
  throw new Fc7Error(
    'BACKBONE_SAW_TEST',
    `The backbone of ${input.name} was fine-tuned on ${seen.size} of the test images, such as ${items.ids[first]}.`,
    { hint: 'Test on a split that the fine-tuning did not use: --holdout test.' },
  )
}

/**
 * What a comparison will do, as plain data: folds as item numbers, every fit with its own seed. Equal input gives an
 * equal plan.
 *
 * @throws Fc7Error for tables without two labelled classes, impossible folds, unknown trainers, parameters, metrics or
 * classes
 */
export function planComparison(options: ComparisonOptions): ComparisonPlan {
  checkTables(options.tables)
  const seed = options.seed ?? 0
  const metric = metricSpec(options.metric ?? 'accuracy').id
  const trainers = plannedTrainers(options)
  if (trainers.length === 0)
    throw new Fc7Error('USAGE_NOTHING', 'There is no trainer to compare.', { hint: 'Name some with --trainers.' })
  const datasets: ComparisonPlan['datasets'] = []
  const tables: ComparisonPlan['tables'] = []
  const fits: PlannedFit[] = []
  options.tables.forEach((input, t) => {
    const items = itemsOf(input.table)
    const fingerprint = itemsFingerprint(items)
    let dataset = datasets.find((one) => one.fingerprint === fingerprint)
    if (!dataset) {
      const { protocol, folds } = planFolds(items, { ...options, seed })
      dataset = {
        key: `d${datasets.length}`,
        name: input.dataset ?? input.name,
        fingerprint,
        items: items.ids.length,
        unlabelled: items.unlabelled,
        classes: [...items.classes],
        positive: positiveClass(items.classes, options.positive),
        protocol,
        folds,
      }
      datasets.push(dataset)
    }
    checkTrainedOn(input, items, dataset.folds)
    const { store } = input
    tables.push({
      key: `t${t}`,
      name: input.name,
      dataset: dataset.key,
      layer: input.table.layer,
      dim: input.table.dim,
      rows: input.table.rows,
      strayViews: items.strayViews,
      store: store ? { backbone: store.backbone, planHash: store.planHash, recipe: store.recipe } : null,
    })
    for (const trainer of trainers) {
      for (const fold of dataset.folds) {
        const id = `t${t}-${trainer.key}-${fold.id}`.replaceAll(/[^\w-]/g, '_')
        // The seed follows trainer and fold, not the table, so that two backbones meet the same randomness.
        const own = createRandom(seed)
          .fork(`${trainer.key}/${fold.id}`)
          .int(2 ** 31)
        fits.push({ id, table: `t${t}`, trainer: trainer.key, fold: fold.id, seed: own })
      }
    }
  })
  if (new Set(fits.map((fit) => fit.id.toLowerCase())).size < fits.length)
    throw new Fc7Error('USAGE_TRAINER_KEY', 'Two trainers would write the same files.', {
      hint: 'Give each its own key of letters, digits and dashes.',
    })
  return {
    format: 1,
    seed,
    metric,
    resamples: options.resamples ?? 1000,
    operating: options.operating ?? { kind: 'default' },
    datasets,
    tables,
    trainers,
    fits,
  }
}

/** The text of `plan.json` and its hash. */
export function planText(plan: ComparisonPlan): { readonly text: string; readonly hash: string } {
  const text = `${JSON.stringify(plan)}\n`
  return { text, hash: sha256(text) }
}

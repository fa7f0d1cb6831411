import { Document, parseDocument } from 'yaml'
import { z } from 'zod'
import { Fc7Error, messageOf } from '../../base/errors.js'
import { operatingRuleSchema } from '../metrics/operating-point.js'
import { metricIds } from '../metrics/registry.js'
import { curveFractions } from './fold-generators.js'
import type { ComparisonOptions, TrainerChoice } from './plan.js'
import { protocolKinds } from './protocol.js'

const name = z.string().min(1).max(4096)
const whole = z.int().min(1)
const share = z.number().gt(0).max(1)
const value = z.union([z.number(), z.string(), z.boolean()])

const tuneSchema = z.union([
  z.boolean(),
  z.enum(['grid', 'random']),
  z.strictObject({
    search: z.enum(['grid', 'random']).optional(),
    candidates: z.int().min(2).max(10_000).optional(),
    'inner-folds': z.int().min(2).max(100).optional(),
    grids: z.map(name, z.array(value).min(1)).optional(),
  }),
])

const trainerSchema = z.union([
  name,
  z.strictObject({
    id: name,
    /** Name in the results when one trainer takes part twice. */
    key: z
      .string()
      .regex(/^[\w.-]{1,64}$/)
      .optional(),
    /** Names that a user chose live in a Map, so that `__proto__` is a name like any other. */
    set: z.map(name, value).optional(),
    preprocess: name.optional(),
    calibrate: z.enum(['sigmoid', 'isotonic']).optional(),
    'class-weight': z.enum(['none', 'balanced']).optional(),
    'max-train': whole.optional(),
    tune: tuneSchema.optional(),
  }),
])

const sourceSchema = z.union([
  name,
  z.strictObject({
    /** A store, or images; relative to the experiment file. */
    path: name,
    /** Identity of the store that the experiment was run on; another one is refused. */
    store: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional(),
    layers: z.array(name).min(1).optional(),
    /** Only for images. */
    model: name.optional(),
    recipe: name.optional(),
  }),
])

const experimentSchema = z.strictObject({
  format: z.literal(1),
  title: z.string().max(500).optional(),
  sources: z.array(sourceSchema).min(1),
  trainers: z.array(trainerSchema).min(1),
  out: name.optional(),
  seed: z.union([z.int(), z.string()]).optional(),
  protocol: z.enum(protocolKinds).optional(),
  folds: whole.optional(),
  repeats: whole.optional(),
  holdout: z.enum(['val', 'test']).optional(),
  'per-class': whole.optional(),
  draws: whole.optional(),
  'test-per-class': whole.optional(),
  curve: z.union([z.boolean(), z.array(share).min(1)]).optional(),
  metric: z.enum(metricIds).optional(),
  positive: z.string().optional(),
  operating: operatingRuleSchema.optional(),
  tune: tuneSchema.optional(),
  resamples: whole.optional(),
  'group-duplicates': z.boolean().optional(),
})

/**
 * What `fc7 compare experiment.yaml` runs; `experiment.yaml` in an evaluation folder is the same for the run that made
 * it.
 */
export type Experiment = z.infer<typeof experimentSchema>
export type ExperimentSource = Exclude<Experiment['sources'][number], string>
type Tune = NonNullable<Experiment['tune']>

/** Above this a file is refused unread. */
export const maxExperimentBytes = 1 << 20

/** YAML objects arrive as Maps; those whose keys are fc7's own become plain objects without a prototype. */
function plain(node: unknown, path: readonly string[] = []): unknown {
  if (Array.isArray(node)) return node.map((one) => plain(one, path))
  if (!(node instanceof Map)) return node
  const last = path.at(-1)
  if (last === 'set' || last === 'grids') return node
  const object: Record<string, unknown> = Object.create(null)
  for (const [key, one] of node) object[String(key)] = plain(one, [...path, String(key)])
  return object
}

/**
 * Reads an experiment file. YAML 1.2's core schema without custom tags; at most 1 MiB, and aliases may not multiply.
 *
 * @param where the file, for messages
 * @throws Fc7Error EXPERIMENT_BROKEN saying which entry is wrong
 */
export function parseExperiment(text: string, where: string): Experiment {
  const broken = (reason: string, hint = 'docs/evaluation.md shows a whole experiment file.'): Fc7Error =>
    new Fc7Error('EXPERIMENT_BROKEN', `${where} is no experiment: ${reason}.`, { hint })
  if (Buffer.byteLength(text) > maxExperimentBytes) throw broken('it is larger than 1 MiB')
  let node: unknown
  try {
    const document = parseDocument(text, { schema: 'core', customTags: [], uniqueKeys: true, prettyErrors: true })
    const [problem] = [...document.errors, ...document.warnings]
    if (problem) throw problem
    node = document.toJS({ mapAsMap: true, maxAliasCount: 100 })
  } catch (error) {
    throw broken(messageOf(error).split('\n')[0]!.replace(/[.:]$/, ''))
  }
  const parsed = experimentSchema.safeParse(plain(node))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw broken(`${issue?.path.join('.') || 'the whole'}: ${issue?.message ?? 'unexpected'}`.replace(/\.$/, ''))
}

/** The text of an experiment file that {@link parseExperiment} reads back as the same experiment. */
export function experimentText(experiment: Experiment): string {
  const document = new Document(Object.fromEntries(Object.entries(experiment).filter(([, one]) => one !== undefined)), {
    schema: 'core',
  })
  return document.toString({ lineWidth: 0 })
}

function tuneOptions(tune: Tune): NonNullable<ComparisonOptions['tune']> {
  if (typeof tune === 'boolean') return tune
  if (typeof tune === 'string') return { search: tune }
  const { search, candidates, grids } = tune
  const innerFolds = tune['inner-folds']
  return {
    search,
    candidates,
    innerFolds,
    grids,
  }
}

function trainerChoice(trainer: Experiment['trainers'][number]): string | TrainerChoice {
  if (typeof trainer === 'string') return trainer
  const { id, key, set, preprocess, calibrate, tune } = trainer
  const classWeight = trainer['class-weight']
  const maxTrainItems = trainer['max-train']
  return {
    id,
    key,
    params: set,
    preprocess,
    calibrate,
    classWeight,
    maxTrainItems,
    tune: tune === undefined ? undefined : tuneOptions(tune),
  }
}

/** The experiment as {@link planComparison} takes it; the caller adds the tables. */
export function comparisonOptions(experiment: Experiment): Omit<ComparisonOptions, 'tables'> {
  const { protocol, folds, repeats, holdout, draws, curve, metric, positive, operating, tune, resamples } = experiment
  const perClass = experiment['per-class']
  const testPerClass = experiment['test-per-class']
  return {
    trainers: experiment.trainers.map(trainerChoice),
    seed: experiment.seed ?? 0,
    protocol,
    folds,
    repeats,
    holdout,
    perClass,
    draws,
    testPerClass,
    ...(curve === undefined || curve === false ? {} : { curve: curve === true ? curveFractions : curve }),
    metric,
    positive,
    operating,
    tune: tune === undefined ? undefined : tuneOptions(tune),
    resamples,
  }
}

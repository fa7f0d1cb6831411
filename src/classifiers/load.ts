import { join, resolve } from 'node:path'
import { z } from 'zod'
import { Fc7Error, messageOf, systemCode } from '../base/errors.js'
import { readJson } from '../base/files.js'
import { readSafetensors } from '../base/safetensors.js'
import { recipeSchema } from '../images/recipe/recipe.js'
import { Calibration } from '../trainers/calibration/calibration.js'
import { resolveParams } from '../trainers/params.js'
import { Preprocess, parsePreprocess } from '../trainers/preprocess/preprocess.js'
import { getTrainer } from '../trainers/registry.js'
import { Classifier } from './classifier.js'
import { exists, jsonName, previousName, weightsName } from './classifier-file.js'

/** More columns than any layer has; a larger number in a file is damage or malice. */
const maxColumns = 1 << 22

const text = z.string().max(100_000)
const plain = z.record(text, z.unknown())
const params = z.array(z.tuple([text, z.union([z.number(), text, z.boolean()])]))
const fileSchema = z.object({
  format: z.literal(1),
  trainer: text,
  params,
  tuning: z
    .object({
      search: z.enum(['grid', 'random']),
      innerFolds: z.number().int().positive(),
      metric: text,
      trials: z.array(z.object({ params, scores: z.array(z.number().nullable()), mean: z.number().nullable() })),
    })
    .optional(),
  preprocess: text,
  classWeight: z.enum(['balanced', 'none']),
  seed: z.number().int(),
  classes: z.array(text).min(2),
  fitted: z.array(z.number().int().nonnegative()).min(2),
  dim: z.number().int().positive().max(maxColumns),
  provenance: z.object({
    backbone: text,
    backboneSha256: text.optional(),
    layer: text,
    recipe: text,
    extraction: z
      .object({
        tensor: text,
        pool: z.enum(['avg', 'max', 'none']),
        resize: z.enum(['exact', 'fast']),
        orient: z.boolean(),
        recipe: z.object({ name: text, steps: recipeSchema }),
      })
      .optional(),
    store: text.optional(),
    weights: text.optional(),
  }),
  trainedOn: z.array(text),
  trainedImages: z.array(text).default([]),
  facts: z.record(text, z.union([z.number(), text])),
  scoreKind: z.enum(['probability', 'decision']),
  preprocessState: plain,
  calibration: plain.nullable(),
  model: plain,
})

/**
 * Whether the parts of a classifier fit one another, which none of them can know alone: the widths that they name, and
 * what a row of zeros gives.
 */
async function checkParts(classifier: Classifier, model: Readonly<Record<string, unknown>>): Promise<void> {
  const { info, preprocess, calibration } = classifier
  if (preprocess.inputs !== info.dim) throw new RangeError('its preprocessing has another width')
  if (typeof model.cols === 'number' && model.cols !== preprocess.outputs)
    throw new RangeError('its model has another width than its preprocessing')
  if (new Set(info.fitted).size !== info.fitted.length) throw new RangeError('it names a class twice')
  if (calibration && calibration.curves.length !== info.fitted.length)
    throw new RangeError('its calibration has another number of classes')
  const raw = await classifier.model.scores({
    data: new Float32Array(preprocess.outputs),
    rows: 1,
    cols: preprocess.outputs,
  })
  if (raw.length !== info.fitted.length || !raw.every(Number.isFinite))
    throw new RangeError('its model has another number of classes, or values that are not finite')
}

/**
 * Reads a classifier folder. Nothing in it is trusted: JSON by schema, tensors by extent, the model by its trainer.
 *
 * @throws Fc7Error CLASSIFIER_MISSING, CLASSIFIER_BROKEN, TRAINER_UNKNOWN, SAFETENSORS_BROKEN
 */
export async function loadClassifier(path: string): Promise<Classifier> {
  const folder = resolve(path)
  const home = (await exists(folder)) ? folder : previousName(folder)
  if (!(await exists(join(home, jsonName)))) {
    throw new Fc7Error('CLASSIFIER_MISSING', `${path} is no classifier folder: ${jsonName} is not there.`, {
      hint: 'Make one with `fc7 train <store> --trainer <id> --out <folder>`.',
    })
  }
  const broken = (why: string, cause?: unknown): Fc7Error =>
    new Fc7Error('CLASSIFIER_BROKEN', `The classifier ${path} cannot be used: ${why}.`, {
      hint: 'Train it again.',
      cause,
    })
  const raw = await readJson(join(home, jsonName), 'The classifier')
  const version = (raw as { format?: unknown | undefined } | null)?.format
  if (typeof version === 'number' && version !== 1) throw broken(`it has format ${version}, this fc7 reads 1`)
  const parsed = fileSchema.safeParse(raw)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw broken(`${issue?.path.join('.') || jsonName}: ${issue?.message}`)
  }
  const { provenance, ...json } = parsed.data
  if (json.fitted.some((c) => c >= json.classes.length)) throw broken('it names classes that are not there')
  const trainer = getTrainer(json.trainer)
  const tensors = await readSafetensors(join(home, weightsName)).catch((error) => {
    if (systemCode(error) === 'ENOENT') throw broken(`${weightsName} is missing`)
    throw error
  })
  const own = new Map(
    [...tensors].flatMap(([name, value]) => (name.startsWith('model.') ? [[name.slice(6), value] as const] : [])),
  )
  try {
    parsePreprocess(json.preprocess)
    const classifier = new Classifier(
      {
        trainer: json.trainer,
        params: resolveParams(trainer.params, new Map(json.params)),
        tuning: json.tuning,
        preprocess: json.preprocess,
        classWeight: json.classWeight,
        seed: json.seed,
        classes: json.classes,
        fitted: json.fitted,
        dim: json.dim,
        provenance: {
          backbone: provenance.backbone,
          layer: provenance.layer,
          recipe: provenance.recipe,
          backboneSha256: provenance.backboneSha256,
          extraction: provenance.extraction,
          store: provenance.store,
          weights: provenance.weights,
        },
        trainedOn: json.trainedOn,
        trainedImages: json.trainedImages,
      },
      Preprocess.load({ config: json.preprocessState, tensors }),
      trainer.load({ config: json.model, tensors: own }),
      json.calibration ? Calibration.load({ config: json.calibration, tensors }) : undefined,
    )
    await checkParts(classifier, json.model)
    return classifier
  } catch (error) {
    if (error instanceof Fc7Error && !error.code.startsWith('USAGE')) throw error
    throw broken(messageOf(error).split('\n')[0]!, error)
  }
}

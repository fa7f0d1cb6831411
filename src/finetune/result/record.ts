import { join } from 'node:path'
import { z } from 'zod'
import { Fc7Error } from '../../base/errors.js'
import { readIfPresent, readJson } from '../../base/files.js'
import { epochSchema, statePath } from '../train/checkpoint.js'

/** The record that says a run is finished. */
export const recordName = 'finetune.json'

const best = z.object({ epoch: z.int(), loss: z.number(), accuracy: z.number() }).nullable()

const recordSchema = z.object({
  format: z.literal(1),
  kind: z.literal('fc7-finetune'),
  backbone: z.object({ id: z.string() }),
  best,
  history: z.array(epochSchema),
  report: z.object({
    source: z.string(),
    rows: z.int(),
    correct: z.int(),
    accuracy: z.number(),
    classes: z.array(z.string()),
    confusion: z.array(z.array(z.int())),
  }),
  failures: z.int(),
})

const stateSchema = z.object({ format: z.literal(1), best, history: z.array(epochSchema) })

const planSchema = z.object({
  format: z.literal(1),
  strategy: z.string(),
  backbone: z.object({ id: z.string() }),
  dataset: z.object({ name: z.string() }),
  classes: z.array(z.string()),
  images: z.object({
    train: z.int(),
    select: z.int(),
    sources: z.object({ select: z.string(), report: z.string() }),
  }),
  optimizer: z.object({ kind: z.string() }),
  phases: z.array(
    z.object({
      name: z.string(),
      boundary: z.string(),
      trainedValues: z.number(),
      frozenValues: z.number(),
      epochs: z.int(),
      lr: z.number(),
    }),
  ),
})

/** A training as its folder tells it, finished or not. */
export interface TrainingRecord {
  readonly plan: z.infer<typeof planSchema>
  readonly best: z.infer<typeof best>
  readonly history: readonly z.infer<typeof epochSchema>[]
  /** What was measured when training was over; undefined before. */
  readonly finished:
    | (z.infer<typeof recordSchema>['report'] & { readonly id: string; readonly failures: number })
    | undefined
}

/** Whether a folder is one that `fc7 finetune` writes into. */
export async function isTraining(folder: string): Promise<boolean> {
  for (const path of [join(folder, recordName), statePath(join(folder, 'work'))])
    if ((await readIfPresent(path)) !== undefined) return true
  return false
}

async function checked<T>(schema: z.ZodType<T>, path: string, what: string): Promise<T> {
  const parsed = schema.safeParse(await readJson(path, what, 256 << 20))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new Fc7Error('TRAINING_BROKEN', `${path} is not valid: ${issue?.path.join('.')}: ${issue?.message}.`, {
    hint: 'It is written by `fc7 finetune`; the folder may be from another version.',
  })
}

/**
 * Reads how a training went from the folder it was given as `--out`; of one that is not finished, as far as its last
 * checkpoint.
 *
 * @throws Fc7Error TRAINING_BROKEN, FILE_UNREADABLE
 */
export async function readTraining(folder: string): Promise<TrainingRecord> {
  const plan = await checked(planSchema, join(folder, 'plan.json'), 'The plan')
  const file = join(folder, recordName)
  if ((await readIfPresent(file)) === undefined) {
    const { best, history } = await checked(stateSchema, statePath(join(folder, 'work')), 'The checkpoint')
    return { plan, best, history, finished: undefined }
  }
  const { backbone, best, history, report, failures } = await checked(recordSchema, file, 'The record')
  return { plan, best, history, finished: { ...report, id: backbone.id, failures } }
}

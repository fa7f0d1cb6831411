import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { Fc7Error } from '../../base/errors.js'
import { readIfPresent, sha256File, writeFileAtomic, writeJsonAtomic } from '../../base/files.js'
import type { NamedTensor } from '../../base/safetensors.js'
import { encodeSafetensors, readSafetensors } from '../../base/safetensors.js'

export const epochSchema = z.strictObject({
  phase: z.string(),
  epoch: z.int(),
  trainLoss: z.number(),
  trainAccuracy: z.number(),
  selectLoss: z.number(),
  selectAccuracy: z.number(),
  lr: z.number(),
  norms: z.record(z.string(), z.number()),
  imagesPerSecond: z.number(),
})
export type EpochRecord = z.infer<typeof epochSchema>

const fileSchema = z.strictObject({ file: z.string().regex(/^[\w.-]+$/), sha256: z.string() })

const stateSchema = z.strictObject({
  format: z.literal(1),
  /** Hash of the plan that this training follows. */
  plan: z.string(),
  phase: z.int(),
  epoch: z.int(),
  /** Steps of this epoch that are done, and steps of the phase. */
  step: z.int(),
  steps: z.int(),
  /** Sums over the steps of this epoch. */
  sums: z.strictObject({ loss: z.number(), correct: z.number(), rows: z.number(), norms: z.array(z.number()) }),
  best: z.strictObject({ epoch: z.int(), loss: z.number(), accuracy: z.number() }).nullable(),
  firstLoss: z.number().nullable(),
  history: z.array(epochSchema),
  /** Everything that goes around the loop, and the best epoch's weights. */
  tensors: fileSchema,
  bestTensors: fileSchema.nullable(),
})
export type State = z.infer<typeof stateSchema>
export type Weights = ReadonlyMap<string, Float32Array>

export const statePath = (folder: string): string => join(folder, 'state.json')

/** Writes tensors under a name that no standing checkpoint uses; the state that names them makes them count. */
export async function writeTensors(folder: string, name: string, values: Weights): Promise<State['tensors']> {
  const named = new Map<string, NamedTensor>([...values].map(([key, v]) => [key, { dims: [v.length], values: v }]))
  const file = `${name}.safetensors`
  await writeFileAtomic(join(folder, file), encodeSafetensors(named))
  return { file, sha256: await sha256File(join(folder, file)) }
}

export async function readTensors(folder: string, { file, sha256 }: State['tensors']): Promise<Weights> {
  const path = join(folder, file)
  if (!(await stat(path).catch(() => undefined)) || (await sha256File(path)) !== sha256) {
    throw new Fc7Error('CHECKPOINT_BROKEN', `The checkpoint ${path} is missing or changed.`, {
      hint: 'Begin again with --force.',
    })
  }
  const tensors = await readSafetensors(path)
  return new Map([...tensors].map(([key, { values }]) => [key, values as Float32Array]))
}

export const writeState = (folder: string, state: State): Promise<void> => writeJsonAtomic(statePath(folder), state)

/** @throws Fc7Error CHECKPOINT_BROKEN, FINETUNE_OTHER when the folder holds the training of another plan */
export async function readState(folder: string, plan: string): Promise<State | undefined> {
  const text = await readIfPresent(statePath(folder))
  if (!text) return undefined
  let value: unknown
  try {
    value = JSON.parse(text.toString('utf8'))
  } catch {
    value = undefined
  }
  const parsed = stateSchema.safeParse(value)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const what = [...(issue?.path ?? []), issue?.message].join(': ')
    throw new Fc7Error('CHECKPOINT_BROKEN', `${statePath(folder)} is no whole checkpoint (${what}).`, {
      hint: 'Begin again with --force.',
    })
  }
  if (parsed.data.plan === plan) return parsed.data
  throw new Fc7Error('FINETUNE_OTHER', `${folder} holds a training with other options or images.`, {
    hint: 'Give another --out, the same options as then, or --force to begin again.',
  })
}

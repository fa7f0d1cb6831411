import { z } from 'zod'
import { Fc7Error } from '../base/errors.js'
import type { NamedTensor } from '../base/safetensors.js'
import type { ModelState } from './contract.js'

const broken = (why: string): Fc7Error =>
  new Fc7Error('CLASSIFIER_BROKEN', `The saved model cannot be used: ${why}.`, { hint: 'Train it again.' })

/** Reads and checks a model's JSON part. */
export function readConfig<T>(state: ModelState, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(state.config)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw broken(`${issue?.path.join('.')}: ${issue?.message}`)
}

type Kinds = { float32: Float32Array; float64: Float64Array; int32: Int32Array; uint16: Uint16Array; uint8: Uint8Array }
const makers = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
} as const

/**
 * Reads a model's tensor and checks its type and shape (-1 matches any size).
 *
 * @throws Fc7Error CLASSIFIER_BROKEN
 */
export function readTensor<K extends keyof Kinds>(
  state: ModelState,
  name: string,
  kind: K,
  dims: readonly number[],
): Kinds[K] {
  const tensor = state.tensors.get(name)
  if (!tensor) throw broken(`the tensor ${name} is missing`)
  const fits = tensor.dims.length === dims.length && dims.every((n, i) => n === -1 || n === tensor.dims[i])
  if (!fits || !(tensor.values instanceof makers[kind]))
    throw broken(`the tensor ${name} is not ${kind}[${dims.join(',')}]`)
  return tensor.values as Kinds[K]
}

export const tensorOf = (dims: readonly number[], values: NamedTensor['values']): NamedTensor => ({ dims, values })

/** Facts as saved in a model's JSON. */
export const factsSchema = z.record(z.string(), z.union([z.number(), z.string()]))

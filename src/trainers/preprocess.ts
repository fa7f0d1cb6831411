import { z } from 'zod'
import { Fc7Error } from '../base/errors.js'
import type { Matrix, ModelState, NamedTensor } from './contract.js'
import { centred, gemm } from './gemm.js'
import { fitPca } from './pca.js'
import { readConfig, readTensor } from './state.js'

/** One step; a preprocessing is a list of them, written `power:0.5+l2+pca:128`. */
export type PreprocessStep =
  | { readonly kind: 'l2' }
  | { readonly kind: 'standardise' }
  | { readonly kind: 'power'; readonly exponent: number }
  | { readonly kind: 'pca'; readonly components: number; readonly whiten: boolean }

/** What {@link parsePreprocess} reads, in one line. */
export const preprocessHelp =
  'none, l2, standardise, power:<exponent> (signed power), pca:<components>, pca-whiten:<components>, joined by + (power:0.5+l2)'

/**
 * Reads a preprocessing as typed: `none`, or steps joined by `+`.
 *
 * @throws Fc7Error USAGE_PREPROCESS
 */
export function parsePreprocess(text: string): PreprocessStep[] {
  if (text === 'none' || text === '') return []
  return text.split('+').map((part) => {
    const [name, argument] = part.split(':') as [string, string | undefined]
    const value = argument === undefined ? undefined : Number(argument)
    const bare = argument === undefined
    if (name === 'l2' && bare) return { kind: 'l2' }
    if (name === 'standardise' && bare) return { kind: 'standardise' }
    if (name === 'power') {
      const exponent = value ?? 0.5
      if (exponent > 0 && exponent <= 1) return { kind: 'power', exponent }
    }
    if ((name === 'pca' || name === 'pca-whiten') && value !== undefined && Number.isSafeInteger(value) && value >= 1)
      return { kind: 'pca', components: value, whiten: name === 'pca-whiten' }
    throw new Fc7Error('USAGE_PREPROCESS', `"${part}" is no preprocessing.`, { hint: `There are ${preprocessHelp}.` })
  })
}

/** The inverse of {@link parsePreprocess}. */
export function formatPreprocess(steps: readonly PreprocessStep[]): string {
  if (steps.length === 0) return 'none'
  return steps
    .map((step) => {
      if (step.kind === 'power') return `power:${step.exponent}`
      if (step.kind === 'pca') return `${step.whiten ? 'pca-whiten' : 'pca'}:${step.components}`
      return step.kind
    })
    .join('+')
}

/** A step with what it learned from the training rows. */
export type FittedStep =
  | { readonly kind: 'l2' }
  | { readonly kind: 'power'; readonly exponent: number }
  | { readonly kind: 'standardise'; readonly mean: Float32Array; readonly scale: Float32Array }
  /** `projection` is `[components, cols]`, already divided by the standard deviations where it whitens. */
  | {
      readonly kind: 'pca'
      readonly components: number
      readonly whiten: boolean
      readonly mean: Float32Array
      readonly projection: Matrix
    }

/** Fitted preprocessing. Column counts in and out may differ (PCA). */
export class Preprocess {
  constructor(
    readonly steps: readonly FittedStep[],
    readonly inputs: number,
  ) {}

  /** `[rows, inputs]` → `[rows, outputs]` in fresh memory, or the same matrix when there is nothing to do. */
  async apply(x: Matrix, threads = 1): Promise<Matrix> {
    let now = x
    for (const step of this.steps) now = await applyStep(step, now, threads)
    return now
  }

  /** As plain JSON and tensors, named `preprocess.<step>.<part>`. */
  save(): ModelState {
    const tensors = new Map<string, NamedTensor>()
    const steps = this.steps.map((step, i) => {
      if (step.kind === 'standardise') {
        tensors.set(`preprocess.${i}.mean`, { dims: [step.mean.length], values: step.mean })
        tensors.set(`preprocess.${i}.scale`, { dims: [step.scale.length], values: step.scale })
        return { kind: step.kind }
      }
      if (step.kind === 'pca') {
        tensors.set(`preprocess.${i}.mean`, { dims: [step.mean.length], values: step.mean })
        tensors.set(`preprocess.${i}.projection`, {
          dims: [step.projection.rows, step.projection.cols],
          values: step.projection.data,
        })
        return { kind: step.kind, components: step.components, whiten: step.whiten }
      }
      return step
    })
    return { config: { inputs: this.inputs, steps }, tensors }
  }

  /** The inverse of {@link save}. @throws Fc7Error CLASSIFIER_BROKEN for tensors that do not fit one another */
  static load(state: ModelState): Preprocess {
    const { inputs, steps } = readConfig(state, savedSchema)
    let cols = inputs
    const fitted = steps.map((step, i): FittedStep => {
      const tensor = (part: string, dims: readonly number[]): Float32Array =>
        readTensor(state, `preprocess.${i}.${part}`, 'float32', dims)
      if (step.kind === 'standardise') return { ...step, mean: tensor('mean', [cols]), scale: tensor('scale', [cols]) }
      if (step.kind === 'pca') {
        const mean = tensor('mean', [cols])
        const data = tensor('projection', [-1, cols])
        const projection = { data, rows: data.length / cols, cols }
        cols = projection.rows
        return { ...step, mean, projection }
      }
      return step
    })
    return new Preprocess(fitted, inputs)
  }

  /** Columns that come out. */
  get outputs(): number {
    return this.steps.reduce((cols, step) => (step.kind === 'pca' ? step.projection.rows : cols), this.inputs)
  }
}

const savedSchema = z.object({
  inputs: z.number().int().positive(),
  steps: z.array(
    z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('l2') }),
      z.object({ kind: z.literal('standardise') }),
      z.object({ kind: z.literal('power'), exponent: z.number().positive().max(1) }),
      z.object({ kind: z.literal('pca'), components: z.number().int().positive(), whiten: z.boolean() }),
    ]),
  ),
})

/** Learns the steps from the training rows, each from what the steps before it make of them. */
export async function fitPreprocess(
  steps: readonly PreprocessStep[],
  x: Matrix,
  options: { readonly seed: number; readonly threads: number; readonly signal?: AbortSignal },
): Promise<{ preprocess: Preprocess; x: Matrix }> {
  const fitted: FittedStep[] = []
  let now = x
  for (const step of steps) {
    let done: FittedStep
    if (step.kind === 'standardise') done = { kind: 'standardise', ...columnStatistics(now) }
    else if (step.kind === 'pca') done = { ...step, ...(await fitPca(now, step, options)) }
    else done = step
    fitted.push(done)
    now = await applyStep(done, now, options.threads)
  }
  return { preprocess: new Preprocess(fitted, x.cols), x: now }
}

/** Mean and population standard deviation of every column; a constant column gets scale 1, as in scikit-learn. */
function columnStatistics(x: Matrix): { mean: Float32Array; scale: Float32Array } {
  const { data, rows, cols } = x
  const sum = new Float64Array(cols)
  for (let i = 0, at = 0; i < rows; i++) for (let j = 0; j < cols; j++, at++) sum[j]! += data[at]!
  for (let j = 0; j < cols; j++) sum[j]! /= rows
  const squares = new Float64Array(cols)
  for (let i = 0, at = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++, at++) {
      const delta = data[at]! - sum[j]!
      squares[j]! += delta * delta
    }
  }
  const scale = Float32Array.from(squares, (s, j) => {
    const deviation = Math.sqrt(s / rows)
    return deviation > 1e-7 * Math.max(1e-30, Math.abs(sum[j]!)) && deviation > 0 ? deviation : 1
  })
  return { mean: Float32Array.from(sum), scale }
}

async function applyStep(step: FittedStep, x: Matrix, threads: number): Promise<Matrix> {
  const { rows, cols } = x
  if (step.kind === 'pca') {
    const { data } = await gemm(centred(x, step.mean), step.projection, { transB: true, threads })
    return { data, rows, cols: step.projection.rows }
  }
  const out = new Float32Array(x.data.length)
  if (step.kind === 'power') {
    const { exponent } = step
    for (let i = 0; i < out.length; i++) {
      const v = x.data[i]!
      const size = exponent === 0.5 ? Math.sqrt(Math.abs(v)) : Math.abs(v) ** exponent
      out[i] = v < 0 ? -size : size
    }
  } else if (step.kind === 'standardise') {
    for (let i = 0, at = 0; i < rows; i++)
      for (let j = 0; j < cols; j++, at++) out[at] = (x.data[at]! - step.mean[j]!) / step.scale[j]!
  } else {
    for (let i = 0; i < rows; i++) {
      let sum = 0
      const end = (i + 1) * cols
      for (let at = i * cols; at < end; at++) sum += x.data[at]! * x.data[at]!
      const factor = sum > 0 ? 1 / Math.sqrt(sum) : 0
      for (let at = i * cols; at < end; at++) out[at] = x.data[at]! * factor
    }
  }
  return { data: out, rows, cols }
}

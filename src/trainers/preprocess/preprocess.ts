import { z } from 'zod'
import { Fc7Error } from '../../base/errors.js'
import type { NamedTensor } from '../../base/safetensors.js'
import type { Matrix, ModelState } from '../contract.js'
import { eachBlock, type Watch } from '../linalg/blocks.js'
import { centred, gemm, rowsOf } from '../linalg/gemm.js'
import { readConfig, readTensor } from '../state.js'
import { fitPca, pcaBytes } from './pca.js'

/** One step; a preprocessing is a list of them, written `power:0.5+l2+pca:128`. */
export type PreprocessStep =
  | { readonly kind: 'l2' }
  | { readonly kind: 'standardise' }
  | { readonly kind: 'power'; readonly exponent: number }
  | { readonly kind: 'pca'; readonly components: number; readonly whiten: boolean }

/** What {@link parsePreprocess} reads, in one line. */
export const preprocessHelp =
  'none, l2, standardise, power:<exponent> (signed power), pca:<components>, pca-whiten:<components>, joined by ' +
  '+ (power:0.5+l2)'

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

  /**
   * `[rows, inputs]` → `[rows, outputs]` in fresh memory, or the same matrix when there is nothing to do. @throws
   * InterruptedError
   */
  async apply(x: Matrix, threads = 1, signal?: AbortSignal): Promise<Matrix> {
    let now = x
    for (const step of this.steps) now = await applyStep(step, now, threads, { signal })
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

/** What preprocessing takes beside the rows it is given, and what it makes of them. */
export interface PreparedMemory {
  readonly peakBytes: number
  /** Of the prepared rows; 0 where they are the given ones. */
  readonly keptBytes: number
  readonly cols: number
  /** Numbers of a prepared row that are not zero. */
  readonly entries: number
}

/** Every step makes a copy of its rows; that of the step before is released after it. */
export function preprocessMemory(
  steps: readonly PreprocessStep[],
  { rows, cols, entries }: { readonly rows: number; readonly cols: number; readonly entries: number },
): PreparedMemory {
  let made = { peakBytes: 0, keptBytes: 0, cols, entries }
  for (const step of steps) {
    const width = step.kind === 'pca' ? Math.min(step.components, rows - 1, made.cols) : made.cols
    const keptBytes = 4 * rows * width
    const work = step.kind === 'pca' ? pcaBytes(rows, made.cols, step.components) : 16 * made.cols
    made = {
      peakBytes: Math.max(made.peakBytes, made.keptBytes + Math.max(keptBytes, work)),
      keptBytes,
      cols: width,
      entries: step.kind === 'pca' || step.kind === 'standardise' ? width : made.entries,
    }
  }
  return made
}

/** A step's cost beside the others': how many times it passes over its rows, about. */
const weightOf = (step: PreprocessStep): number => (step.kind === 'pca' ? 20 : step.kind === 'standardise' ? 3 : 1)

/** Share of a step's work that is learning it; the rest applies it. */
const learning = { pca: 0.9, standardise: 0.7, l2: 0, power: 0 } as const

/**
 * Learns the steps from the training rows, each from what the steps before it make of them.
 *
 * @throws InterruptedError
 */
export async function fitPreprocess(
  steps: readonly PreprocessStep[],
  x: Matrix,
  options: Watch & { readonly seed: number; readonly threads: number },
): Promise<{ preprocess: Preprocess; x: Matrix }> {
  const { signal, onProgress } = options
  const fitted: FittedStep[] = []
  const total = steps.reduce((sum, step) => sum + weightOf(step), 0)
  let before = 0
  let now = x
  for (const step of steps) {
    const weight = weightOf(step)
    const part = (from: number, to: number): Watch => ({
      signal,
      onProgress: (fraction) => onProgress?.((before + weight * (from + (to - from) * fraction)) / total),
    })
    const learnt = learning[step.kind]
    let done: FittedStep
    if (step.kind === 'standardise') done = { kind: 'standardise', ...(await columnStatistics(now, part(0, learnt))) }
    else if (step.kind === 'pca') done = { ...step, ...(await fitPca(now, step, { ...options, ...part(0, learnt) })) }
    else done = step
    fitted.push(done)
    now = await applyStep(done, now, options.threads, part(learnt, 1))
    before += weight
  }
  return { preprocess: new Preprocess(fitted, x.cols), x: now }
}

/** Mean and population standard deviation of every column; a constant column gets scale 1, as in scikit-learn. */
async function columnStatistics(x: Matrix, watch: Watch): Promise<{ mean: Float32Array; scale: Float32Array }> {
  const { data, rows, cols } = x
  const half = (first: number): Watch => ({
    ...watch,
    onProgress: (fraction) => watch.onProgress?.(first + fraction / 2),
  })
  const sum = new Float64Array(cols)
  await eachBlock(x, half(0), (from, to) => {
    for (let i = from, at = from * cols; i < to; i++) for (let j = 0; j < cols; j++, at++) sum[j]! += data[at]!
  })
  for (let j = 0; j < cols; j++) sum[j]! /= rows
  const squares = new Float64Array(cols)
  await eachBlock(x, half(0.5), (from, to) => {
    for (let i = from, at = from * cols; i < to; i++) {
      for (let j = 0; j < cols; j++, at++) {
        const delta = data[at]! - sum[j]!
        squares[j]! += delta * delta
      }
    }
  })
  const scale = Float32Array.from(squares, (s, j) => {
    const deviation = Math.sqrt(s / rows)
    return deviation > 1e-7 * Math.max(1e-30, Math.abs(sum[j]!)) && deviation > 0 ? deviation : 1
  })
  return { mean: Float32Array.from(sum), scale }
}

async function applyStep(step: FittedStep, x: Matrix, threads: number, watch: Watch): Promise<Matrix> {
  const { rows } = x
  const cols = step.kind === 'pca' ? step.projection.rows : x.cols
  const out = new Float32Array(rows * cols)
  await eachBlock(x, watch, async (from, to) => {
    if (step.kind !== 'pca') return applyRows(step, x, from, to, out)
    const block = centred(rowsOf(x, from, to), step.mean)
    out.set((await gemm(block, step.projection, { transB: true, threads })).data, from * cols)
  })
  return { data: out, rows, cols }
}

function applyRows(
  step: Exclude<FittedStep, { readonly kind: 'pca' }>,
  { data, cols }: Matrix,
  from: number,
  to: number,
  out: Float32Array,
): void {
  if (step.kind === 'power') {
    const { exponent } = step
    for (let i = from * cols; i < to * cols; i++) {
      const v = data[i]!
      const size = exponent === 0.5 ? Math.sqrt(Math.abs(v)) : Math.abs(v) ** exponent
      out[i] = v < 0 ? -size : size
    }
  } else if (step.kind === 'standardise') {
    for (let i = from, at = from * cols; i < to; i++)
      for (let j = 0; j < cols; j++, at++) out[at] = (data[at]! - step.mean[j]!) / step.scale[j]!
  } else {
    for (let i = from; i < to; i++) {
      let sum = 0
      const end = (i + 1) * cols
      for (let at = i * cols; at < end; at++) sum += data[at]! * data[at]!
      const factor = sum > 0 ? 1 / Math.sqrt(sum) : 0
      for (let at = i * cols; at < end; at++) out[at] = data[at]! * factor
    }
  }
}

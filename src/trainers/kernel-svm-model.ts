import { z } from 'zod'
import { throwIfAborted } from '../base/errors.js'
import type { Matrix, Model, ModelState } from './contract.js'
import { gemm, rowsOf } from './gemm.js'
import { columnMeans, type Kernel, type KernelRows, kernelBlock, kernelRows, kernelSlice } from './kernel-functions.js'
import { kernelSvmOnnx } from './onnx/kernel-svm.js'
import type { OnnxWriter } from './onnx/writer.js'
import { couplePairs, pairCount, voteScores } from './pairwise.js'
import { factsSchema, readConfig, readTensor, tensorOf } from './state.js'

const configSchema = z.object({
  kind: z.enum(['rbf', 'poly', 'linear', 'cosine']),
  gamma: z.number().positive(),
  coef0: z.number(),
  degree: z.number().int().min(1).max(20),
  probability: z.boolean(),
  facts: factsSchema,
})

export interface KernelSvmParts {
  readonly kernel: Kernel
  /** `[supports, cols]`, unprepared, those of one class together. */
  readonly supports: Matrix
  /** `[classes]` support vectors of each class. */
  readonly counts: Int32Array
  /** `[classes - 1, supports]` as in libsvm: the coefficients of class c's vectors against the other classes, in order. */
  readonly coefficients: Float32Array
  /** `[pairs]` */
  readonly bias: Float64Array
  /** `[pairs, 2]` slope and offset; empty without probabilities. */
  readonly sigmoids: Float64Array
  readonly facts: Readonly<Record<string, number | string>>
}

/** Rows scored by one product. */
const blockRows = 512
/** Pair decisions held at once. */
const blockDecisions = 8 << 20

/** libsvm keeps pair probabilities this far from 0 and 1. */
const leastProbability = 1e-7

/** One machine a pair of classes over shared support vectors. */
export class KernelSvmModel implements Model {
  readonly scoreKind: 'probability' | 'decision'
  readonly facts: Readonly<Record<string, number | string>>
  private readonly centre: Float64Array
  private readonly prepared: KernelRows
  private readonly starts: Int32Array
  private readonly machines: Float32Array[] = []

  constructor(readonly parts: KernelSvmParts) {
    this.scoreKind = parts.sigmoids.length > 0 ? 'probability' : 'decision'
    this.facts = parts.facts
    this.centre = columnMeans(parts.supports)
    this.prepared = kernelRows(parts.supports, parts.kernel, this.centre)
    this.starts = new Int32Array(parts.counts.length + 1)
    for (const [c, n] of parts.counts.entries()) this.starts[c + 1] = this.starts[c]! + n
  }

  /** `[classes - 1, counts[c]]` coefficients of one class's vectors, gathered when first asked for. */
  private machinesOf(c: number): Float32Array {
    const known = this.machines[c]
    if (known) return known
    const { counts, coefficients, supports } = this.parts
    const n = counts[c]!
    const own = new Float32Array((counts.length - 1) * n)
    for (let r = 0, at = this.starts[c]!; r < counts.length - 1; r++, at += supports.rows)
      own.set(coefficients.subarray(at, at + n), r * n)
    this.machines[c] = own
    return own
  }

  /** `[rows, pairs]` decisions in libsvm's order of pairs, positive for the first class of the pair. */
  async decisions(
    x: Matrix,
    options: { readonly threads?: number; readonly signal?: AbortSignal } = {},
  ): Promise<Float64Array> {
    const { counts, kernel, bias } = this.parts
    const { threads = 1 } = options
    const classes = counts.length
    const out = new Float64Array(x.rows * bias.length)
    for (let i = 0; i < x.rows; i++) out.set(bias, i * bias.length)
    for (let from = 0; from < x.rows; from += blockRows) {
      throwIfAborted(options.signal, 'Prediction')
      const to = Math.min(x.rows, from + blockRows)
      const rows = kernelRows(rowsOf(x, from, to), kernel, this.centre)
      const halves = new Float32Array((to - from) * classes * (classes - 1))
      for (let c = 0; c < classes; c++) {
        const n = counts[c]!
        if (n === 0) continue
        const values = await kernelBlock(
          rows,
          kernelSlice(this.prepared, this.starts[c]!, this.starts[c + 1]!),
          kernel,
          threads,
        )
        const sums = await gemm(
          { data: values, rows: to - from, cols: n },
          { data: this.machinesOf(c), rows: classes - 1, cols: n },
          { transB: true, threads },
        )
        for (let i = 0, row = 0; i < to - from; i++, row += classes - 1)
          halves.set(sums.data.subarray(row, row + classes - 1), (i * classes + c) * (classes - 1))
      }
      // Row r of class c is its machine against class r, or r + 1 from c on. Half a million pairs a row at a thousand classes: the two
      // halves of a pair are far apart, so they are joined row by row, while a row's are in the processor's cache.
      for (let i = from; i < to; i++) {
        const at = (i - from) * classes * (classes - 1)
        for (let a = 0, p = i * bias.length; a < classes; a++) {
          const mine = at + a * (classes - 1) - 1
          for (let b = a + 1, other = at + b * (classes - 1) + a; b < classes; b++, p++, other += classes - 1)
            out[p] = out[p]! + halves[mine + b]! + halves[other]!
        }
      }
    }
    return out
  }

  async scores(
    x: Matrix,
    options: { readonly threads?: number; readonly signal?: AbortSignal } = {},
  ): Promise<Float32Array> {
    const { counts, sigmoids } = this.parts
    const classes = counts.length
    const count = pairCount(classes)
    const out = new Float32Array(x.rows * classes)
    const r = new Float64Array(sigmoids.length > 0 ? classes * classes : 0)
    // A thousand classes make half a million decisions a row: some rows at a time.
    const step = Math.max(1, Math.min(blockRows, Math.floor(blockDecisions / count)))
    let decisions: Float64Array = new Float64Array(0)
    for (let i = 0; i < x.rows; i++) {
      if (i % step === 0) decisions = await this.decisions(rowsOf(x, i, Math.min(x.rows, i + step)), options)
      const own = decisions.subarray((i % step) * count, ((i % step) + 1) * count)
      if (sigmoids.length === 0) {
        if (classes === 2) out.set([own[0]!, -own[0]!], 2 * i)
        else voteScores(own, classes, out, i * classes)
        continue
      }
      for (let a = 0, p = 0; a < classes; a++) {
        for (let b = a + 1; b < classes; b++, p++) {
          const t = sigmoids[2 * p]! * own[p]! + sigmoids[2 * p + 1]!
          const raw = t >= 0 ? Math.exp(-t) / (1 + Math.exp(-t)) : 1 / (1 + Math.exp(t))
          const probability = Math.min(Math.max(raw, leastProbability), 1 - leastProbability)
          r[a * classes + b] = probability
          r[b * classes + a] = 1 - probability
        }
      }
      couplePairs(r, classes, out, i * classes)
    }
    return out
  }

  save(): ModelState {
    const { kernel, supports, counts, coefficients, bias, sigmoids, facts } = this.parts
    return {
      config: { ...kernel, probability: sigmoids.length > 0, facts },
      tensors: new Map([
        ['supports', tensorOf([supports.rows, supports.cols], supports.data)],
        ['counts', tensorOf([counts.length], counts)],
        ['coefficients', tensorOf([counts.length - 1, supports.rows], coefficients)],
        ['bias', tensorOf([bias.length], bias)],
        ...(sigmoids.length > 0 ? ([['sigmoids', tensorOf([bias.length, 2], sigmoids)]] as const) : []),
      ]),
    }
  }

  toOnnx(graph: OnnxWriter, x: string): string {
    return kernelSvmOnnx(graph, x, this.parts)
  }

  static load(state: ModelState): KernelSvmModel {
    const { kind, gamma, coef0, degree, probability, facts } = readConfig(state, configSchema)
    const counts = readTensor(state, 'counts', 'int32', [-1])
    const total = counts.reduce((sum, n) => sum + n, 0)
    if (counts.length < 2 || counts.some((n) => n < 0)) throw new RangeError('the counts of support vectors are broken')
    const count = pairCount(counts.length)
    const data = readTensor(state, 'supports', 'float32', [total, -1])
    return new KernelSvmModel({
      kernel: { kind, gamma, coef0, degree },
      supports: { data, rows: total, cols: state.tensors.get('supports')!.dims[1]! },
      counts,
      coefficients: readTensor(state, 'coefficients', 'float32', [counts.length - 1, total]),
      bias: readTensor(state, 'bias', 'float64', [count]),
      sigmoids: probability ? readTensor(state, 'sigmoids', 'float64', [count, 2]) : new Float64Array(0),
      facts,
    })
  }
}

/** Place of (a, b), a < b, in libsvm's order of pairs. */
export const pairIndex = (a: number, b: number, classes: number): number =>
  a * (classes - 1) - (a * (a - 1)) / 2 + (b - a - 1)

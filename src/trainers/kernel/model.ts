import { z } from 'zod'
import { throwIfAborted } from '../../base/errors.js'
import type { OnnxWriter } from '../../onnx/classifier-writer.js'
import type { Matrix, Model, ModelState } from '../contract.js'
import { gemm, rowsOf } from '../linalg/gemm.js'
import { factsSchema, readConfig, readTensor, tensorOf } from '../state.js'
import { columnMeans, type Kernel, type KernelRows, kernelBlock, kernelRows } from './functions.js'
import { kernelSvmOnnx } from './onnx-form.js'
import { couplePairs, type PairHalves, pairCount, pairIndex, Votes, writeDecisions } from './pairwise.js'

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
  /**
   * `[classes - 1, supports]` as in libsvm: the coefficients of class c's vectors against the other classes, in order.
   */
  readonly coefficients: Float32Array
  /** `[pairs]` */
  readonly bias: Float64Array
  /** `[pairs, 2]` slope and offset; empty without probabilities. */
  readonly sigmoids: Float64Array
  readonly facts: Readonly<Record<string, number | string>>
}

/** Most rows scored by one product. */
const blockRows = 512
/** Most numbers that a block of rows may make of one kind: kernel values, halves of pair decisions, pair decisions. */
const blockNumbers = 32 << 20

interface ScoreOptions {
  readonly threads?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** libsvm keeps pair probabilities this far from 0 and 1. */
const leastProbability = 1e-7

/** One machine a pair of classes over shared support vectors. */
export class KernelSvmModel implements Model {
  readonly scoreKind: 'probability' | 'decision'
  readonly facts: Readonly<Record<string, number | string>>
  readonly #centre: Float64Array
  readonly #prepared: KernelRows
  readonly #starts: Int32Array
  readonly #machines: Float32Array[] = []

  constructor(readonly parts: KernelSvmParts) {
    this.scoreKind = parts.sigmoids.length > 0 ? 'probability' : 'decision'
    this.facts = parts.facts
    this.#centre = columnMeans(parts.supports)
    this.#prepared = kernelRows(parts.supports, parts.kernel, this.#centre)
    this.#starts = new Int32Array(parts.counts.length + 1)
    for (const [c, n] of parts.counts.entries()) this.#starts[c + 1] = this.#starts[c]! + n
  }

  /** `[classes - 1, counts[c]]` coefficients of one class's vectors, gathered when first asked for. */
  #machinesOf(c: number): Float32Array {
    const known = this.#machines[c]
    if (known) return known
    const { counts, coefficients, supports } = this.parts
    const n = counts[c]!
    const own = new Float32Array((counts.length - 1) * n)
    for (let r = 0, at = this.#starts[c]!; r < counts.length - 1; r++, at += supports.rows)
      own.set(coefficients.subarray(at, at + n), r * n)
    this.#machines[c] = own
    return own
  }

  /** Rows of a block, where one makes `numbers` numbers. */
  #rowsAtOnce(numbers: number): number {
    return Math.max(1, Math.min(blockRows, Math.floor(blockNumbers / numbers)))
  }

  /** `[classes - 1, n]` halves of one class's pairs, from the kernel values `[supports, n]`. */
  async #halvesOf(c: number, values: Float32Array, n: number, threads: number): Promise<Float32Array> {
    const machines = this.parts.counts.length - 1
    const [from, to] = [this.#starts[c]!, this.#starts[c + 1]!]
    if (from === to) return new Float32Array(machines * n)
    const { data } = await gemm(
      { data: this.#machinesOf(c), rows: machines, cols: to - from },
      { data: values.subarray(from * n, to * n), rows: to - from, cols: n },
      { threads },
    )
    return data
  }

  /**
   * Every pair's decisions on `x`, which is small enough for one block.
   *
   * A decision has two halves, one from each class's support vectors. Class after class, one product makes the halves
   * of its pairs, laid out pair by pair: those against later classes wait, those against earlier ones meet theirs. Half
   * a million pairs a row at a thousand classes are never walked through by columns.
   *
   * @param waiting space for `[pairs, rows]`, used again for every block: touching new memory takes longer than the
   * arithmetic
   */
  async #eachPair(
    x: Matrix,
    waiting: Float32Array,
    { threads = 1 }: ScoreOptions,
    visit: (pair: PairHalves) => void,
  ): Promise<void> {
    const { counts, kernel, bias } = this.parts
    const classes = counts.length
    const n = x.rows
    const values = await kernelBlock(this.#prepared, kernelRows(x, kernel, this.#centre), kernel, threads)
    for (let c = 0; c < classes; c++) {
      const halves = await this.#halvesOf(c, values, n, threads)
      for (let a = 0; a < c; a++) {
        const p = pairIndex(a, c, classes)
        visit({ p, a, b: c, bias: bias[p]!, first: waiting, firstAt: p * n, second: halves, secondAt: a * n })
      }
      // Row r of a class is its machine against class r, or r + 1 from its own number on: the rest are its pairs as
      // first class.
      if (c < classes - 1) waiting.set(halves.subarray(c * n), pairIndex(c, c + 1, classes) * n)
    }
  }

  /** `[rows, pairs]` decisions in libsvm's order of pairs, positive for the first class of the pair. */
  async decisions(x: Matrix, options: ScoreOptions = {}): Promise<Float64Array> {
    const { bias, supports } = this.parts
    const out = new Float64Array(x.rows * bias.length)
    const step = this.#rowsAtOnce(Math.max(bias.length, supports.rows))
    const waiting = new Float32Array(Math.min(step, x.rows) * bias.length)
    for (let from = 0; from < x.rows; from += step) {
      throwIfAborted(options.signal, 'Prediction')
      const rows = rowsOf(x, from, Math.min(x.rows, from + step))
      const part = out.subarray(from * bias.length)
      await this.#eachPair(rows, waiting, options, (pair) => writeDecisions(pair, part, rows.rows, bias.length))
    }
    return out
  }

  async scores(x: Matrix, options: ScoreOptions = {}): Promise<Float32Array> {
    const { counts, sigmoids, bias, supports } = this.parts
    const classes = counts.length
    const out = new Float32Array(x.rows * classes)
    // Decisions are float64, and two arrays of them are alive while probabilities are coupled.
    const step = this.#rowsAtOnce(Math.max(supports.rows, sigmoids.length > 0 ? 4 * bias.length : bias.length))
    const voting = sigmoids.length === 0 && classes > 2
    const waiting = new Float32Array(voting ? Math.min(step, x.rows) * bias.length : 0)
    for (let from = 0; from < x.rows; from += step) {
      throwIfAborted(options.signal, 'Prediction')
      const rows = rowsOf(x, from, Math.min(x.rows, from + step))
      if (voting) {
        const votes = new Votes(classes, rows.rows)
        await this.#eachPair(rows, waiting, options, (pair) => votes.add(pair))
        votes.write(out, from * classes)
      } else if (sigmoids.length > 0) {
        this.#couple(await this.decisions(rows, options), out, from)
      } else {
        for (const [i, d] of (await this.decisions(rows, options)).entries()) out.set([d, -d], 2 * (from + i))
      }
    }
    return out
  }

  /** Probabilities of rows from `from` on, from their `[rows, pairs]` decisions. */
  #couple(decisions: Float64Array, out: Float32Array, from: number): void {
    const { counts, sigmoids, bias } = this.parts
    const classes = counts.length
    const r = new Float64Array(classes * classes)
    for (let at = 0, i = from; at < decisions.length; at += bias.length, i++) {
      for (let a = 0, p = 0; a < classes; a++) {
        for (let b = a + 1; b < classes; b++, p++) {
          const t = sigmoids[2 * p]! * decisions[at + p]! + sigmoids[2 * p + 1]!
          const raw = t >= 0 ? Math.exp(-t) / (1 + Math.exp(-t)) : 1 / (1 + Math.exp(t))
          const probability = Math.min(Math.max(raw, leastProbability), 1 - leastProbability)
          r[a * classes + b] = probability
          r[b * classes + a] = 1 - probability
        }
      }
      couplePairs(r, classes, out, i * classes)
    }
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

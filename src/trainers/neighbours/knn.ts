import { z } from 'zod'
import { throwIfAborted } from '../../base/errors.js'
import type { OnnxWriter } from '../../onnx/classifier-writer.js'
import type { Matrix, Model, ModelState, Trainer } from '../contract.js'
import { eachBlock } from '../linalg/blocks.js'
import { gemm, rowsOf, squaredNorms } from '../linalg/gemm.js'
import { number, text } from '../params.js'
import { readConfig, readTensor, tensorOf } from '../state.js'
import { neighboursOnnx } from './onnx-form.js'

const configSchema = z.object({
  k: z.number().int().positive(),
  vote: z.enum(['uniform', 'distance']),
  classes: z.number().int().min(2),
})

/** Distances are computed in blocks of about this many numbers. */
const blockNumbers = 4 << 20

class Neighbours implements Model {
  readonly scoreKind = 'probability'
  readonly facts: Readonly<Record<string, number | string>>
  readonly #norms: Float64Array

  readonly #x: Matrix
  readonly #y: Int32Array
  readonly #weights: Float64Array
  readonly #config: z.infer<typeof configSchema>

  constructor(x: Matrix, y: Int32Array, weights: Float64Array, config: z.infer<typeof configSchema>) {
    this.#x = x
    this.#y = y
    this.#weights = weights
    this.#config = config

    this.#norms = squaredNorms(x)
    this.facts = { neighbours: Math.min(config.k, x.rows), rows: x.rows }
  }

  async scores(
    x: Matrix,
    options: { readonly threads?: number | undefined; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Float32Array> {
    const { classes, vote } = this.#config
    const k = Math.min(this.#config.k, this.#x.rows)
    const out = new Float32Array(x.rows * classes)
    const own = squaredNorms(x)
    const step = Math.max(1, Math.floor(blockNumbers / this.#x.rows))
    const near = new Int32Array(k)
    const far = new Float64Array(k)
    for (let from = 0; from < x.rows; from += step) {
      throwIfAborted(options.signal, 'Prediction')
      const to = Math.min(x.rows, from + step)
      const { data } = await gemm(rowsOf(x, from, to), this.#x, { transB: true, threads: options.threads ?? 1 })
      for (let i = from; i < to; i++) {
        const dots = data.subarray((i - from) * this.#x.rows, (i - from + 1) * this.#x.rows)
        nearest(dots, this.#norms, near, far)
        const row = out.subarray(i * classes, (i + 1) * classes)
        for (let r = 0; r < k; r++) {
          // Rounding leaves identical rows at a distance near, not at, zero.
          const distance = Math.sqrt(Math.max(0, own[i]! + far[r]!) + 1e-12 * (1 + own[i]!))
          row[this.#y[near[r]!]!]! += this.#weights[near[r]!]! * (vote === 'distance' ? 1 / distance : 1)
        }
        const sum = row.reduce((a, b) => a + b, 0)
        for (let c = 0; c < classes; c++) row[c]! /= sum
      }
    }
    return out
  }

  toOnnx(graph: OnnxWriter, x: string): string {
    const rows = this.#x
    const y = this.#y
    const weights = this.#weights
    const norms = this.#norms
    const config = this.#config
    return neighboursOnnx(graph, x, { ...config, k: Math.min(config.k, rows.rows), x: rows, y, weights, norms })
  }

  save(): ModelState {
    return {
      config: this.#config,
      tensors: new Map([
        ['rows', tensorOf([this.#x.rows, this.#x.cols], this.#x.data)],
        ['labels', tensorOf([this.#y.length], this.#y)],
        ['weights', tensorOf([this.#y.length], this.#weights)],
      ]),
    }
  }
}

/** The k rows of smallest ‖m‖² − 2 x·m, nearest first; equal ones in the order of the rows. */
function nearest(dots: Float32Array, norms: Float64Array, near: Int32Array, far: Float64Array): void {
  const k = near.length
  far.fill(Number.POSITIVE_INFINITY)
  for (let j = 0; j < dots.length; j++) {
    const distance = norms[j]! - 2 * dots[j]!
    if (distance >= far[k - 1]!) continue
    let at = k - 1
    for (; at > 0 && far[at - 1]! > distance; at--) {
      far[at] = far[at - 1]!
      near[at] = near[at - 1]!
    }
    far[at] = distance
    near[at] = j
  }
}

export const knn: Trainer = {
  id: 'knn',
  title: 'k nearest neighbours',
  summary: 'Votes of the k nearest training rows; keeps all rows, so the classifier is as large as the embeddings.',
  defaultPreprocess: 'l2',
  params: [
    {
      name: 'n_neighbors',
      type: 'integer',
      default: 5,
      min: 1,
      max: 10_000,
      grid: [1, 3, 5, 10, 20],
      help: 'neighbours that vote',
    },
    {
      name: 'weights',
      type: 'choice',
      default: 'uniform',
      choices: ['uniform', 'distance'],
      grid: ['uniform', 'distance'],
      help: 'every neighbour counts the same, or by 1 / distance',
    },
  ],
  /** The rows are the model. */
  estimatedBytes: ({ rows, cols }) => 4 * rows * cols + 20 * rows,
  async fit(set, { params, signal, onProgress }) {
    const { x } = set
    const copy = { ...x, data: new Float32Array(x.data.length) }
    await eachBlock(x, { signal, onProgress }, (from, to) => copy.data.set(rowsOf(x, from, to).data, from * x.cols))
    return new Neighbours(copy, Int32Array.from(set.y), set.weights ?? new Float64Array(x.rows).fill(1), {
      k: number(params, 'n_neighbors'),
      vote: text(params, 'weights') as 'uniform' | 'distance',
      classes: set.classes.length,
    })
  },
  load(state) {
    const config = readConfig(state, configSchema)
    const y = readTensor(state, 'labels', 'int32', [-1])
    if (y.some((label) => label < 0 || label >= config.classes)) throw new RangeError('a label is outside the classes')
    const data = readTensor(state, 'rows', 'float32', [y.length, -1])
    const x = { data, rows: y.length, cols: data.length / y.length }
    return new Neighbours(x, y, readTensor(state, 'weights', 'float64', [y.length]), config)
  },
}

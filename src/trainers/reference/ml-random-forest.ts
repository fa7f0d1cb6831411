import { RandomForestClassifier } from 'ml-random-forest'
import { z } from 'zod'
import type { Matrix, Model, ModelState, Trainer } from '../contract.js'
import { number } from '../params.js'
import { readConfig } from '../state.js'
import { nested, refuseSlow } from './reference-size.js'

interface Forest {
  train(features: number[][], labels: number[]): void
  /** `[rows, trees]`: what each tree says of each row. */
  predictionValues(features: number[][]): { getRow(i: number): number[] }
  toJSON(): unknown
}
const Package = RandomForestClassifier as unknown as { new (options: object): Forest; load(model: unknown): Forest }

const configSchema = z.object({ classes: z.int().min(2), forest: z.record(z.string(), z.unknown()) })

class Votes implements Model {
  readonly scoreKind = 'probability'
  readonly facts = {}

  readonly #forest: Forest
  readonly #classes: number

  constructor(forest: Forest, classes: number) {
    this.#forest = forest
    this.#classes = classes
  }

  async scores(x: Matrix): Promise<Float32Array> {
    const out = new Float32Array(x.rows * this.#classes)
    if (x.rows === 0) return out
    const values = this.#forest.predictionValues(nested(x.data, x.rows, x.cols))
    for (let i = 0; i < x.rows; i++) {
      const votes = values.getRow(i)
      for (const vote of votes) out[i * this.#classes + vote]! += 1 / votes.length
    }
    return out
  }

  save(): ModelState {
    return {
      config: { classes: this.#classes, forest: JSON.parse(JSON.stringify(this.#forest.toJSON())) },
      tensors: new Map(),
    }
  }
}

export const mlRandomForest: Trainer = {
  id: 'ml-random-forest',
  title: 'ml-random-forest (reference)',
  summary: 'The package ml-random-forest; for reference on small data.',
  reference: true,
  defaultPreprocess: 'none',
  params: [
    { name: 'n_estimators', type: 'integer', default: 10, min: 1, max: 1000, help: 'trees in the forest' },
    {
      name: 'max_features',
      type: 'integer',
      default: 64,
      min: 1,
      max: 100_000,
      help: 'features each tree sees at most',
    },
  ],
  // Measured: 54 s for ten trees of all features at 2,000 × 2,048; each tree here sees 64 features at most.
  checkSize: (rows, cols) =>
    refuseSlow('ml-random-forest', 54 * (rows / 2000) ** 2 * (Math.min(cols, 64) / 2048) * 10, 'random-forest'),
  // Plain arrays of float64: the rows, and what every tree sees of them.
  estimatedBytes: ({ rows, cols }, params) =>
    8 * rows * cols + 16 * rows * Math.min(cols, number(params, 'max_features')) * number(params, 'n_estimators'),
  async fit({ x, y, classes }, { params, seed, onProgress }) {
    const forest = new Package({
      seed,
      nEstimators: number(params, 'n_estimators'),
      maxFeatures: Math.min(x.cols, number(params, 'max_features')),
      replacement: false,
      // Its out-of-bag step throws on small data.
      noOOB: true,
      useSampleBagging: true,
    })
    forest.train(nested(x.data, x.rows, x.cols), Array.from(y))
    onProgress?.(1)
    return new Votes(forest, classes.length)
  },
  load(state) {
    const { classes, forest } = readConfig(state, configSchema)
    return new Votes(Package.load(forest), classes)
  },
}

import SVM from 'ml-svm'
import { z } from 'zod'
import { throwIfAborted } from '../../base/errors.js'
import { createRandom } from '../../base/random.js'
import type { Matrix, Model, ModelState, Trainer } from '../contract.js'
import { number, text } from '../params.js'
import { readConfig } from '../state.js'
import { nested, refuseSlow } from './reference-size.js'

interface Machine {
  train(features: number[][], labels: number[]): void
  margin(features: number[][]): number[]
  toJSON(): unknown
}
const Package = SVM as unknown as { new (options: object): Machine; load(model: unknown): Machine }

const configSchema = z.object({ machines: z.array(z.record(z.string(), z.unknown())).min(2) })

class OneAgainstRest implements Model {
  readonly scoreKind = 'decision'

  readonly #machines: readonly Machine[]

  constructor(machines: readonly Machine[]) {
    this.#machines = machines
  }

  get facts(): Readonly<Record<string, number | string>> {
    return { machines: this.#machines.length }
  }

  async scores(x: Matrix): Promise<Float32Array> {
    const rows = nested(x.data, x.rows, x.cols)
    const out = new Float32Array(x.rows * this.#machines.length)
    for (const [c, machine] of this.#machines.entries()) {
      const margins = x.rows > 0 ? machine.margin(rows) : []
      for (let i = 0; i < x.rows; i++) out[i * this.#machines.length + c] = margins[i]!
    }
    return out
  }

  save(): ModelState {
    return {
      config: { machines: this.#machines.map((machine) => JSON.parse(JSON.stringify(machine.toJSON()))) },
      tensors: new Map(),
    }
  }
}

export const mlSvm: Trainer = {
  id: 'ml-svm',
  title: 'ml-svm (reference)',
  summary: 'The package ml-svm, one machine a class against the rest; for reference on small data.',
  reference: true,
  defaultPreprocess: 'l2',
  params: [
    {
      name: 'C',
      type: 'number',
      default: 1,
      min: 1e-6,
      max: 1e6,
      log: true,
      grid: [0.1, 1, 10],
      help: 'penalty of errors',
    },
    { name: 'kernel', type: 'choice', default: 'linear', choices: ['linear', 'rbf'], help: 'kernel' },
    { name: 'sigma', type: 'number', default: 1, min: 1e-6, max: 1e6, log: true, help: 'width of the rbf kernel' },
  ],
  // Measured: 24 s for one of ten classes at 2,000 × 2,048, growing with the square of the rows.
  checkSize: (rows, cols, classes) =>
    refuseSlow('ml-svm', 24 * (rows / 2000) ** 2 * (cols / 2048) * classes, 'linear-svm or kernel-svm'),
  // Plain arrays of float64, and the kernel matrix as such.
  estimatedBytes: ({ rows, cols, counts }) => 8 * rows * cols * (1 + counts.length) + 16 * rows * rows,
  async fit({ x, y, classes }, { params, seed, signal, onProgress }) {
    const rows = nested(x.data, x.rows, x.cols)
    const machines: Machine[] = []
    for (const [c] of classes.entries()) {
      throwIfAborted(signal, 'Training')
      const machine = new Package({
        C: number(params, 'C'),
        kernel: text(params, 'kernel'),
        ...(text(params, 'kernel') === 'rbf' ? { kernelOptions: { sigma: number(params, 'sigma') } } : {}),
        // Its own scaling divides by zero on constant features; fc7's preprocessing stands in for it.
        whitening: false,
        random: createRandom(seed).fork(c).next,
      })
      machine.train(
        rows,
        Array.from(y, (label) => (label === c ? 1 : -1)),
      )
      machines.push(machine)
      onProgress?.((c + 1) / classes.length)
      await new Promise((resolve) => setImmediate(resolve))
    }
    return new OneAgainstRest(machines)
  },
  load: (state) => new OneAgainstRest(readConfig(state, configSchema).machines.map((machine) => Package.load(machine))),
}

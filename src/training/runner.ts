import { throwIfAborted } from '../base/errors.js'
import { encodeModel } from '../onnx/build.js'
import { loadOrt, type OrtModule, type Session } from '../runtime/ort.js'
import { closeSession, openSession } from '../runtime/session.js'
import { counterBeta, counterKey, counterUniform, fillMask } from './counter-random.js'
import type { TrainingGraph } from './graph/graph.js'

/** Lane of mixup's random numbers, apart from those of masks, which count from 0. */
export const mixupLane = 1 << 20

type OrtTensor = InstanceType<OrtModule['Tensor']>

/** The rows that batches are picked from: the whole data set, or what the next steps need. */
export interface TrainingRows {
  /** `[rows, …]` of the network's input. */
  readonly data: Float32Array | Uint8Array
  /** `[rows]` class indices. */
  readonly labels: ArrayLike<number>
  /** `[rows]`; default 1. */
  readonly weights?: Float32Array | undefined
}

export interface TrainingSteps {
  /** `[K × batch]` row numbers. A short last batch is padded with rows of weight 0. */
  readonly index: ArrayLike<number>
  /** `[K]` learning rates. */
  readonly lr: ArrayLike<number>
  /** For the masks and the mixing of rows. */
  readonly seed: number
  readonly epoch: number
  /** Identity of each row for the same, `[K × batch]`; default the row numbers. */
  readonly images?: ArrayLike<number> | undefined
}

export interface StepResults {
  /**
   * `[K]` mean loss, weight of the correct rows, and gradient norm before clipping (empty where the graph leaves it
   * out).
   */
  readonly loss: Float32Array
  readonly correct: Float32Array
  readonly norm: Float32Array
  /** `[K × parts]` norms of the graph's parts; empty where it has none. */
  readonly norms: Float32Array
}

/** A training graph whose ONNX model lies in a file. */
export type TrainingGraphFacts = Omit<TrainingGraph, 'model'>

/**
 * Runs a training graph in the calling thread, which it blocks while a run lasts: give it a worker where that matters.
 * Parameters and optimizer state stay in tensors between runs.
 */
export class TrainingRunner {
  #state: Record<string, OrtTensor> = {}
  #rows: Record<string, OrtTensor> = {}
  #weights: Float32Array = new Float32Array(0)
  #stepsDone = 0

  readonly #session: Session
  readonly #ort: OrtModule

  private constructor(
    readonly graph: TrainingGraphFacts,
    session: Session,
    ort: OrtModule,
  ) {
    this.#session = session
    this.#ort = ort
  }

  /** Opens a graph, or the file that holds its model. */
  static async open(
    graph: TrainingGraph | (TrainingGraphFacts & { readonly file: string }),
    options: { readonly threads?: number | undefined } = {},
  ): Promise<TrainingRunner> {
    const session = await openSession('file' in graph ? graph.file : encodeModel(graph.model), {
      threads: options.threads ?? 1,
    })
    const runner = new TrainingRunner(graph, session, loadOrt())
    runner.restore(graph.initial, 0)
    return runner
  }

  /** Optimizer steps made so far. */
  get steps(): number {
    return this.#stepsDone
  }

  /**
   * Puts parameters, statistics and optimizer state in place; what is not named begins again, with zeros where the
   * graph has no value.
   */
  restore(values: ReadonlyMap<string, Float32Array>, steps: number): void {
    for (const { name, input, dims } of this.graph.loopState) {
      const value = values.get(name) ?? this.graph.initial.get(name)
      const own = value ? Float32Array.from(value) : new Float32Array(dims.reduce((product, n) => product * n, 1))
      this.#state[input] = new this.#ort.Tensor('float32', own, [...dims])
    }
    this.#stepsDone = steps
  }

  /** Every variable of the loop by name: parameters, statistics, optimizer state. Arrays are not written to later. */
  snapshot(): Map<string, Float32Array> {
    return new Map(this.graph.loopState.map(({ name, input }) => [name, this.#state[input]!.data as Float32Array]))
  }

  /** Sets the rows that later steps pick from. Arrays are used in place: leave them alone. */
  setRows({ data, labels, weights }: TrainingRows): void {
    const { Tensor } = this.#ort
    const count = labels.length
    const dims = [count, ...this.graph.rowShape]
    this.#weights = weights ?? new Float32Array(count).fill(1)
    this.#rows = {
      data:
        this.graph.inputType === 'uint8'
          ? new Tensor('uint8', data as Uint8Array, dims)
          : new Tensor('float32', data as Float32Array, dims),
      labels: new Tensor('int64', BigInt64Array.from(Array.from(labels), BigInt), [count]),
      weights: new Tensor('float32', this.#weights, [count]),
    }
  }

  #masks(steps: TrainingSteps, count: number): Record<string, OrtTensor> {
    const { batch, masks } = this.graph
    const images = steps.images ?? steps.index
    const feeds: Record<string, OrtTensor> = {}
    masks.forEach(({ name, shape, rate }, lane) => {
      const perStep = shape.reduce((product, n) => product * n, 1)
      const perRow = perStep / batch
      const bits = new Uint8Array(count * perStep)
      for (let k = 0; k < count; k++) {
        const step = this.#stepsDone + k
        for (let row = 0; row < batch; row++) {
          const key = counterKey({
            seed: steps.seed,
            epoch: steps.epoch,
            step,
            image: images[k * batch + row]!,
            lane,
          })
          const from = k * perStep + row * perRow
          fillMask(bits.subarray(from, from + perRow), rate, key)
        }
      }
      feeds[name] = new this.#ort.Tensor('uint8', bits, [count, ...shape])
    })
    return feeds
  }

  /** Partner and share of each row: functions of (seed, epoch, step, image). A row without weight mixes with none. */
  #mixing(steps: TrainingSteps, count: number): Record<string, OrtTensor> {
    const { batch, mixup } = this.graph
    if (mixup === 0) return {}
    const partner = new BigInt64Array(count * batch)
    const share = new Float32Array(count * batch)
    for (let i = 0; i < count * batch; i++) {
      const k = Math.floor(i / batch)
      const { seed, epoch } = steps
      const image = (steps.images ?? steps.index)[i]!
      const key = counterKey({ seed, epoch, step: this.#stepsDone + k, image, lane: mixupLane })
      const other = steps.index[k * batch + Math.floor(counterUniform(key, 0) * batch)]!
      partner[i] = BigInt(other)
      share[i] = this.#weights[other]! > 0 ? counterBeta(key, mixup, 1).value : 1
    }
    return {
      partner: new this.#ort.Tensor('int64', partner, [count, batch]),
      share: new this.#ort.Tensor('float32', share, [count, batch]),
    }
  }

  /** Makes K steps. @throws InterruptedError before a run when the signal has fired; what was learnt before stays */
  async run(steps: TrainingSteps, signal?: AbortSignal): Promise<StepResults> {
    throwIfAborted(signal, 'Training')
    const { Tensor } = this.#ort
    const count = steps.lr.length
    const results = await this.#session.run({
      ...this.#rows,
      ...this.#state,
      ...this.#masks(steps, count),
      ...this.#mixing(steps, count),
      index: new Tensor('int64', BigInt64Array.from(Array.from(steps.index), BigInt), [count, this.graph.batch]),
      lr: new Tensor('float32', Float32Array.from(steps.lr), [count]),
      step: new Tensor('int64', BigInt64Array.of(BigInt(this.#stepsDone)), []),
    })
    for (const { input, output } of this.graph.loopState) this.#state[input] = results[output] as OrtTensor
    this.#stepsDone += count
    const numbers = (name: string) => (results[name]?.data as Float32Array | undefined) ?? new Float32Array(0)
    return {
      loss: numbers('loss'),
      correct: numbers('correct'),
      norm: numbers('norm'),
      norms: numbers('norms'),
    }
  }

  async close(): Promise<void> {
    await closeSession(this.#session)
  }
}

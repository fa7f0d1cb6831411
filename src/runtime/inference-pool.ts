import { type InferenceOptions, InferenceWorker } from './inference.js'
import type { RunResult } from './inference-requests.js'

export interface InferencePoolOptions extends InferenceOptions {
  /** Threads that each hold the graph and take batches in turn. Default 1. */
  readonly sessions?: number | undefined
}

/**
 * The same graph in several threads, each with a session of its own; a batch goes to whoever has the least to do. Two
 * sessions of one thread share two cores better than one session of two threads: no operator waits for the slower half
 * of itself, and a decoder that takes a core for a while holds up one session only (bench/extract). The price is a copy
 * of the weights each.
 */
export class InferencePool {
  readonly #busy: number[]

  readonly #all: readonly InferenceWorker[]

  private constructor(all: readonly InferenceWorker[]) {
    this.#all = all

    this.#busy = all.map(() => 0)
  }

  /** Opens one worker after another. @throws Fc7Error SESSION_FAILED, RUNTIME_MISSING */
  static async open(model: string, options: InferencePoolOptions = {}): Promise<InferencePool> {
    const { sessions = 1, ...each } = options
    const opened: InferenceWorker[] = []
    try {
      for (let i = 0; i < sessions; i++) opened.push(await InferenceWorker.open(model, each))
    } catch (error) {
      await Promise.all(opened.map((worker) => worker.close()))
      throw error
    }
    return new InferencePool(opened)
  }

  get sessions(): number {
    return this.#all.length
  }

  /**
   * As {@link InferenceWorker.run}, on the worker with the least to do. Hand over two batches a session and none ever
   * waits.
   */
  async run(pixels: SharedArrayBuffer, dims: readonly [number, number, number, number]): Promise<RunResult> {
    let chosen = 0
    for (let i = 1; i < this.#all.length; i++) if (this.#busy[i]! < this.#busy[chosen]!) chosen = i
    this.#busy[chosen]!++
    try {
      return await this.#all[chosen]!.run(pixels, dims)
    } finally {
      this.#busy[chosen]!--
    }
  }

  /** Frees the sessions and ends the threads; runs under way are finished first. */
  async close(): Promise<void> {
    await Promise.all(this.#all.map((worker) => worker.close()))
  }
}

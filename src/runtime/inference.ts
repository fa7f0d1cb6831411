import { Fc7Error } from '../base/errors.js'
import { WorkerClient } from '../base/worker/client.js'
import type { InferenceRequests, RunResult } from './inference-requests.js'

export interface InferenceOptions {
  readonly providers?: readonly string[] | undefined
  /** Threads inside an operator. Default 1. */
  readonly threads?: number | undefined
}

/** A graph in a thread of its own. Runs are queued there in order, so several may be in flight. */
export class InferenceWorker {
  readonly #client: WorkerClient<InferenceRequests>

  private constructor(client: WorkerClient<InferenceRequests>) {
    this.#client = client
  }

  /**
   * Starts the thread and opens the session.
   *
   * @throws Fc7Error SESSION_FAILED, RUNTIME_MISSING
   */
  static async open(model: string, options: InferenceOptions = {}): Promise<InferenceWorker> {
    const client = new WorkerClient<InferenceRequests>({
      url: import.meta.resolve('#workers/runtime/inference-worker.js'),
      // It makes a few objects a run; left to itself, V8 would let them pile up to tens of megabytes in each thread.
      resourceLimits: { maxYoungGenerationSizeMb: 6 },
      ended: (why) =>
        new Fc7Error('INFERENCE_FAILED', `The inference thread ended: ${why}.`, {
          hint: 'Is there enough memory? Try a smaller --batch-size.',
        }),
    })
    try {
      await client.ask('open', { model, providers: options.providers ?? ['cpu'], threads: options.threads ?? 1 })
    } catch (error) {
      await client.terminate()
      throw error
    }
    return new InferenceWorker(client)
  }

  /** Runs uint8 pixels `[rows, height, width, 3]`; the buffer may be refilled once the promise settles. */
  run(pixels: SharedArrayBuffer, dims: readonly [number, number, number, number]): Promise<RunResult> {
    return this.#client.ask('run', { pixels, dims })
  }

  /** Frees the session and ends the thread; runs in flight are finished first. */
  close(): Promise<void> {
    return this.#client.close()
  }
}

import { Worker } from 'node:worker_threads'
import { Fc7Error } from '../base/errors.js'
import type { FromWorker, RunResult, ToWorker } from './protocol.js'

export interface InferenceOptions {
  readonly providers?: readonly string[] | undefined
  /** Threads inside an operator. Default 1. */
  readonly threads?: number | undefined
}

interface Waiting {
  resolve(result: RunResult): void
  reject(error: Error): void
}

/** A graph in a thread of its own. Runs are queued there in order, so several may be in flight. */
export class InferenceWorker {
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 0
  #dead: Error | undefined

  readonly #worker: Worker

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  /**
   * Starts the thread and opens the session.
   *
   * @throws Fc7Error SESSION_FAILED, RUNTIME_MISSING
   */
  static async open(model: string, options: InferenceOptions = {}): Promise<InferenceWorker> {
    const worker = new Worker(new URL(import.meta.resolve('#workers/runtime/inference-worker.js')), {
      // It makes a few objects a run; left to itself, V8 would let them pile up to tens of megabytes in each thread.
      resourceLimits: { maxYoungGenerationSizeMb: 6 },
    })
    const self = new InferenceWorker(worker)
    await new Promise<void>((resolve, reject) => {
      const stop = (error: Error): void => {
        self.#dead = error
        for (const { reject: rejectRun } of self.#waiting.values()) rejectRun(error)
        self.#waiting.clear()
        reject(error)
      }
      worker.on('error', stop)
      worker.on('exit', (code) =>
        stop(
          new Fc7Error('INFERENCE_FAILED', `The inference thread ended with code ${code}.`, {
            hint: 'Is there enough memory? Try a smaller --batch-size.',
          }),
        ),
      )
      worker.on('message', (message: FromWorker) => {
        if (message.kind === 'opened') resolve()
        else if (message.kind === 'result') {
          self.#waiting.get(message.id)?.resolve(message.result)
          self.#waiting.delete(message.id)
        } else if (message.kind === 'failed') {
          const error = new Fc7Error(message.code, message.message, { hint: message.hint })
          if (message.id === undefined) stop(error)
          else {
            self.#waiting.get(message.id)?.reject(error)
            self.#waiting.delete(message.id)
          }
        }
      })
      self.#post({ kind: 'open', model, providers: options.providers ?? ['cpu'], threads: options.threads ?? 1 })
    }).catch(async (error) => {
      await worker.terminate()
      throw error
    })
    return self
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message)
  }

  /** Runs uint8 pixels `[rows, height, width, 3]`; the buffer may be refilled once the promise settles. */
  run(pixels: SharedArrayBuffer, dims: readonly [number, number, number, number]): Promise<RunResult> {
    if (this.#dead) return Promise.reject(this.#dead)
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#post({ kind: 'run', id, pixels, dims })
    })
  }

  /** Frees the session and ends the thread; runs in flight are finished first. */
  async close(): Promise<void> {
    if (this.#dead) return
    const closed = new Promise<void>((resolve) => {
      this.#worker.once('exit', () => resolve())
    })
    this.#post({ kind: 'close' })
    await closed
  }
}

import { Worker } from 'node:worker_threads'
import { Fc7Error, messageOf } from '../../base/errors.js'
import type { FromThread, Kind, OpenRequest, Requests } from './thread-protocol.js'

/** A training graph in a thread of its own. Requests are answered in order; several may wait. */
export class TrainingThread {
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  #nextId = 0
  #dead: Error | undefined

  readonly #worker: Worker

  private constructor(worker: Worker) {
    this.#worker = worker

    const stop = (error: Error): void => {
      this.#dead ??= error
      for (const { reject } of this.#waiting.values()) reject(error)
      this.#waiting.clear()
    }
    const failed = (why: string): Fc7Error =>
      new Fc7Error('TRAIN_FAILED', `The training thread ended: ${why}.`, {
        hint: 'Is there enough memory? Try a smaller --batch-size.',
      })
    worker.on('error', (error) => stop(failed(messageOf(error))))
    worker.on('exit', (code) => stop(failed(`code ${code}`)))
    worker.on('message', (message: FromThread) => {
      const asked = this.#waiting.get(message.id)
      this.#waiting.delete(message.id)
      if ('error' in message) {
        const { code, message: text, hint } = message.error
        asked?.reject(new Fc7Error(code, text, { hint }))
      } else asked?.resolve(message.answer)
    })
  }

  /** @throws Fc7Error SESSION_FAILED */
  static async open(request: OpenRequest): Promise<TrainingThread> {
    const worker = new Worker(new URL(import.meta.resolve('#workers/finetune/train/training-worker.js')))
    const thread = new TrainingThread(worker)
    try {
      await thread.ask('open', request)
      return thread
    } catch (error) {
      await worker.terminate()
      throw error
    }
  }

  ask<K extends Kind>(kind: K, ask: Requests[K]['ask'], transfer: ArrayBuffer[] = []): Promise<Requests[K]['answer']> {
    if (this.#dead) return Promise.reject(this.#dead)
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject })
      this.#worker.postMessage({ id, kind, ask }, transfer)
    })
  }

  async close(): Promise<void> {
    if (this.#dead) return
    const ended = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()))
    await this.ask('close', null).catch(() => {})
    await ended
  }
}

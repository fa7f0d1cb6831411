import { type ResourceLimits, Worker } from 'node:worker_threads'
import { Fc7Error, InterruptedError, interruption, messageOf, throwIfAborted } from '../errors.js'
import type { FromWorker, Requests, SentError, ToWorker } from './messages.js'

export interface WorkerOptions {
  /** The worker's file, such as `import.meta.resolve('#workers/runtime/inference-worker.js')`. */
  readonly url: string
  /** What the worker begins with. */
  readonly data?: unknown
  readonly resourceLimits?: ResourceLimits | undefined
  /** The error of whatever waits when the thread ends by itself. */
  ended(why: string): Error
  /** Called once when the thread ends by itself, after what waited has failed. */
  readonly onEnd?: ((why: string) => void) | undefined
}

export interface AskOptions {
  readonly transfer?: readonly ArrayBuffer[] | undefined
  /** Called with what the worker's handler reports, from 0 to 1. */
  readonly onProgress?: ((fraction: number) => void) | undefined
  /** Rejects at once when it fires, and tells the worker, whose handler has a signal of its own. */
  readonly signal?: AbortSignal | undefined
}

interface Waiting {
  resolve(answer: unknown): void
  reject(error: Error): void
  readonly onProgress?: ((fraction: number) => void) | undefined
}

const revived = ({ code, message, hint }: SentError): Error => {
  if (code === undefined) return new Error(message)
  return code === 'INTERRUPTED'
    ? new InterruptedError(message.replace(/ was interrupted\.$/, ''), hint)
    : new Fc7Error(code, message, { hint })
}

/**
 * A thread that answers requests (`serve` is its other side). Requests are answered in order; several may wait. The
 * process stays alive for it only while something waits.
 *
 * @example
 * const client = new WorkerClient<{ square: { ask: number; answer: number } }>({ url, ended: (why) => new Error(why) })
 * const nine = await client.ask('square', 3)
 * await client.close()
 */
export class WorkerClient<R extends Requests> {
  /** Settles when the thread listens, or fails with what ended it before. */
  readonly ready: Promise<void>
  readonly #worker: Worker
  readonly #options: WorkerOptions
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 0
  #dead: Error | undefined
  #closing = false
  #stay = false

  constructor(options: WorkerOptions) {
    this.#options = options
    const { data: workerData, resourceLimits } = options
    this.#worker = new Worker(new URL(options.url), { workerData, ...(resourceLimits ? { resourceLimits } : {}) })
    this.#worker.unref()
    this.ready = new Promise((resolve, reject) => {
      this.#worker.on('message', (message: FromWorker) => ('ready' in message ? resolve() : this.#receive(message)))
      this.#worker.on('error', (error) => reject(this.#end(messageOf(error))))
      this.#worker.on('exit', (code) => reject(this.#end(`it exited with code ${code}`)))
    })
    // Whoever asks hears of it; nobody need await `ready`.
    this.ready.catch(() => {})
  }

  /** Requests that are not answered yet. */
  get pending(): number {
    return this.#waiting.size
  }

  /**
   * @throws what the handler threw, with code and hint; `ended` when the thread dies; InterruptedError, or the signal's
   *   own reason
   */
  ask<K extends keyof R & string>(kind: K, ask: R[K]['ask'], options: AskOptions = {}): Promise<R[K]['answer']> {
    const { transfer = [], onProgress, signal } = options
    if (this.#dead) return Promise.reject(this.#dead)
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      throwIfAborted(signal, 'The work')
      const cancel = (): void => {
        if (!this.#settle(id)) return
        this.#post({ cancel: id })
        reject(interruption(signal, 'The work'))
      }
      signal?.addEventListener('abort', cancel, { once: true })
      const end = (act: () => void): void => {
        signal?.removeEventListener('abort', cancel)
        act()
      }
      this.#waiting.set(id, {
        resolve: (answer) => end(() => resolve(answer as R[K]['answer'])),
        reject: (error) => end(() => reject(error)),
        onProgress,
      })
      this.#hold()
      this.#post({ id, kind, ask }, transfer)
    })
  }

  /** Whether the process stays for the thread although nothing waits: while it starts, say. */
  keepAlive(stay: boolean): void {
    this.#stay = stay
    this.#hold()
  }

  /** Lets the worker answer what waits, release what it holds and end. */
  async close(): Promise<void> {
    if (this.#dead) return
    this.#closing = true
    const ended = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()))
    this.#hold()
    this.#post({ close: true })
    await ended
  }

  /** Ends the thread at once; what waits fails with `error`. */
  async terminate(error: Error = new InterruptedError('The work')): Promise<void> {
    this.#closing = true
    this.#fail(error)
    await this.#worker.terminate()
  }

  #post(message: ToWorker, transfer: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer)
  }

  #receive(message: Exclude<FromWorker, { ready: true }>): void {
    if ('progress' in message) {
      this.#waiting.get(message.id)?.onProgress?.(message.progress)
      return
    }
    const asked = this.#settle(message.id)
    if ('error' in message) asked?.reject(revived(message.error))
    else asked?.resolve(message.answer)
  }

  /** Takes a request off the list of those that wait; undefined if it is not there any more. */
  #settle(id: number): Waiting | undefined {
    const asked = this.#waiting.get(id)
    this.#waiting.delete(id)
    this.#hold()
    return asked
  }

  /** Keeps the process alive for as long as somebody waits. */
  #hold(): void {
    if (this.#waiting.size > 0 || this.#stay || this.#closing) this.#worker.ref()
    else this.#worker.unref()
  }

  #fail(error: Error): void {
    this.#dead ??= error
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { reject } of waiting) reject(error)
  }

  #end(why: string): Error {
    const error = this.#dead ?? this.#options.ended(why)
    const first = this.#dead === undefined
    this.#fail(error)
    if (first && !this.#closing) this.#options.onEnd?.(why)
    return error
  }
}

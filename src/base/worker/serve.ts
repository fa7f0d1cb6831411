import { parentPort } from 'node:worker_threads'
import { Fc7Error, messageOf } from '../errors.js'
import type { FromWorker, Requests, SentError, ToWorker } from './messages.js'

/** What a handler may use besides what it was asked. */
export interface ServeContext {
  /** Fires when the client's signal does. A handler that keeps the thread hears it only where it gives a turn. */
  readonly signal: AbortSignal
  /** Reports how far it is, from 0 to 1. */
  progress(fraction: number): void
}

/** An answer with buffers that are handed over instead of copied. */
export class Transferred<T> {
  readonly answer: T
  readonly buffers: readonly ArrayBuffer[]

  constructor(answer: T, buffers: readonly ArrayBuffer[]) {
    this.answer = answer
    this.buffers = buffers
  }
}

type Answer<T> = T | Transferred<T>

export type Handlers<R extends Requests> = {
  readonly [K in keyof R]: (
    ask: R[K]['ask'],
    context: ServeContext,
  ) => Answer<R[K]['answer']> | Promise<Answer<R[K]['answer']>>
}

const sent = (error: unknown, code: string | undefined): SentError =>
  error instanceof Fc7Error
    ? { code: error.code, message: error.message, hint: error.hint }
    : { code, message: messageOf(error), hint: '' }

/**
 * The body of a worker thread: answers what its `WorkerClient` asks, one request after another.
 *
 * @param options.code of errors that are not ours; default none
 * @param options.onClose releases what the worker holds
 */
export function serve<R extends Requests>(
  handlers: Handlers<R>,
  options: { readonly code?: string | undefined; readonly onClose?: (() => Promise<void>) | undefined } = {},
): void {
  const port = parentPort!
  const post = (message: FromWorker, transfer: readonly ArrayBuffer[] = []): void => port.postMessage(message, transfer)
  const running = new Map<number, AbortController>()

  const handle = async (id: number, kind: string, ask: unknown): Promise<void> => {
    const controller = running.get(id)!
    try {
      const context = { signal: controller.signal, progress: (progress: number) => post({ id, progress }) }
      const found = await handlers[kind]!(ask, context)
      if (found instanceof Transferred) post({ id, answer: found.answer }, found.buffers)
      else post({ id, answer: found })
    } catch (error) {
      post({ id, error: sent(error, options.code) })
    } finally {
      running.delete(id)
    }
  }

  // One request after another: a handler that awaits must not see the next one's data in its buffers.
  let last: Promise<void> = Promise.resolve()
  port.on('message', (message: ToWorker) => {
    if ('cancel' in message) running.get(message.cancel)?.abort()
    else if ('close' in message) {
      last = last
        .then(() => options.onClose?.())
        .catch(() => {})
        .then(() => port.close())
    } else {
      running.set(message.id, new AbortController())
      last = last.then(() => handle(message.id, message.kind, message.ask))
    }
  })
  post({ ready: true })
}

import { Worker } from 'node:worker_threads'
import { Fc7Error, throwIfAborted } from '../../base/errors.js'
import { perform, type TreeJob, type TreeSetup } from './work.js'

/** Runs jobs on the threads of one fit. Results do not depend on how many there are. */
export interface TreePool {
  /**
   * @param done called with each result as it comes, in any order
   * @throws InterruptedError, after which the pool is of no use
   */
  run(jobs: readonly TreeJob[], done: (result: unknown, index: number) => void): Promise<void>
  close(): Promise<void>
}

/** How often the calling thread gives the event loop a turn. */
const turnMs = 20

function inlinePool(setup: TreeSetup, signal: AbortSignal | undefined): TreePool {
  let turned = performance.now()
  return {
    async run(jobs, done) {
      for (const [index, job] of jobs.entries()) {
        throwIfAborted(signal, 'Training')
        done(perform(setup, job), index)
        if (performance.now() - turned < turnMs) continue
        await new Promise((resolve) => setImmediate(resolve))
        turned = performance.now()
      }
    },
    close: async () => {},
  }
}

function workerPool(setup: TreeSetup, threads: number, signal: AbortSignal | undefined): TreePool {
  const url = new URL(import.meta.resolve('#workers/trainers/trees/worker.js'))
  const workers = Array.from({ length: threads }, () => new Worker(url, { workerData: setup }))
  let failed: ((error: Error) => void) | undefined
  let dead: Error | undefined
  const fail = (error: Error): void => {
    dead ??= error
    failed?.(dead)
  }
  for (const worker of workers) {
    worker.on('error', (error) => {
      fail(
        new Fc7Error('TRAINING_THREAD', `A training thread ended: ${error.message}`, {
          hint: 'Is there enough memory? Try --threads 1, or fewer rows or columns (pca:<n>).',
          cause: error,
        }),
      )
    })
  }
  const close = async (): Promise<void> => {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
  return {
    run: (jobs, done) =>
      new Promise<void>((resolve, reject) => {
        let next = 0
        let left = jobs.length
        const end = (act: () => void): void => {
          signal?.removeEventListener('abort', stop)
          clearInterval(clock)
          for (const worker of workers) worker.removeAllListeners('message')
          failed = undefined
          act()
        }
        failed = (error) => end(() => reject(error))
        const stop = (): void => {
          try {
            throwIfAborted(signal, 'Training')
          } catch (error) {
            fail(error as Error)
          }
        }
        signal?.addEventListener('abort', stop)
        // A deadline is a clock behind `aborted`.
        const clock = setInterval(() => signal?.aborted && stop(), turnMs)
        const feed = (worker: Worker): void => {
          if (next < jobs.length) worker.postMessage({ index: next, job: jobs[next++] })
        }
        if (dead) return failed(dead)
        if (left === 0) return end(resolve)
        for (const worker of workers) {
          worker.on('message', ({ index, result }: { index: number; result: unknown }) => {
            feed(worker)
            try {
              throwIfAborted(signal, 'Training')
              done(result, index)
            } catch (error) {
              fail(error as Error)
              return
            }
            left--
            if (left === 0) end(resolve)
          })
          // Two jobs each: the next one waits there while a result is taken in.
          feed(worker)
        }
        for (const worker of workers) feed(worker)
      }),
    close,
  }
}

/** Work of less than about this many visits of a value is done before a thread would have started. */
const visitsWorthThreads = 5e6

/** @param visits about how often the whole fit looks at a value */
export function openPool(setup: TreeSetup, threads: number, visits: number, signal: AbortSignal | undefined): TreePool {
  return threads > 1 && visits > visitsWorthThreads ? workerPool(setup, threads, signal) : inlinePool(setup, signal)
}

/** Memory that threads share, and memory of one thread. Pages that are never written to take no room. */
export const shared = {
  float32: (n: number): Float32Array => new Float32Array(new SharedArrayBuffer(n * 4)),
  float64: (n: number): Float64Array => new Float64Array(new SharedArrayBuffer(n * 8)),
  int32: (n: number): Int32Array => new Int32Array(new SharedArrayBuffer(n * 4)),
  uint32: (n: number): Uint32Array => new Uint32Array(new SharedArrayBuffer(n * 4)),
  uint16: (n: number): Uint16Array => new Uint16Array(new SharedArrayBuffer(n * 2)),
  uint8: (n: number): Uint8Array => new Uint8Array(new SharedArrayBuffer(n)),
}
export const own = {
  int32: (n: number): Int32Array => new Int32Array(n),
  uint32: (n: number): Uint32Array => new Uint32Array(n),
  uint16: (n: number): Uint16Array => new Uint16Array(n),
  uint8: (n: number): Uint8Array => new Uint8Array(n),
}

/** Room for the same numbers in memory that threads share; shared memory is returned as it is. */
export const sharedRoom = (x: Float32Array): Float32Array =>
  x.buffer instanceof SharedArrayBuffer ? x : shared.float32(x.length)

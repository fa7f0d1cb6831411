import { Worker } from 'node:worker_threads'
import { Fc7Error, throwIfAborted } from '../../base/errors.js'
import { turnMs, turnTaker } from '../../base/turns.js'
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

/** Work of less than about this many visits of a value is done before a thread would have started. */
const visitsWorthThreads = 5e6
/** A job of more visits than this would keep the calling thread from hearing that it should stop. */
const visitsOfShortJob = 5e7

/** Who does a fit's jobs. */
export interface PoolPlan {
  /** Threads besides the calling one; it only waits unless it `helps`. */
  readonly workers: number
  readonly helps: boolean
}

/**
 * The calling thread works too where jobs are short: it need not wait for threads to start. Long jobs are left to
 * threads, even to a single one, so that a fit hears within a job when it should stop.
 *
 * @param visits about how often the whole fit looks at a value, and its longest job
 */
export function planPool(threads: number, visits: number, ofJob: number): PoolPlan {
  if (visits <= visitsWorthThreads) return { workers: 0, helps: true }
  const helps = ofJob <= visitsOfShortJob
  return { workers: threads - (helps ? 1 : 0), helps }
}

/**
 * Does jobs on the calling thread as long as `next` has one; the event loop gets its turn every so many milliseconds.
 */
async function work(
  setup: TreeSetup,
  signal: AbortSignal | undefined,
  everyMs: number,
  next: () => { index: number; job: TreeJob } | undefined,
  done: (result: unknown, index: number) => void,
): Promise<void> {
  const pause = turnTaker(signal, 'Training', everyMs)
  for (let given = next(); given; given = next()) {
    await pause()
    done(perform(setup, given.job, 0), given.index)
  }
}

function inlinePool(setup: TreeSetup, signal: AbortSignal | undefined): TreePool {
  return {
    run(jobs, done) {
      let index = 0
      const next = () => (index < jobs.length ? { index, job: jobs[index++]! } : undefined)
      return work(setup, signal, turnMs, next, done)
    },
    close: async () => {},
  }
}

function workerPool(setup: TreeSetup, { workers: count, helps }: PoolPlan, signal: AbortSignal | undefined): TreePool {
  const url = new URL(import.meta.resolve('#workers/trainers/trees/worker.js'))
  const workers = Array.from({ length: count }, (_, k) => new Worker(url, { workerData: { setup, thread: k + 1 } }))
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
        const take = () => (next < jobs.length && !dead ? { index: next, job: jobs[next++]! } : undefined)
        const feed = (worker: Worker): void => {
          const given = take()
          if (given) worker.postMessage(given)
        }
        const finish = (result: unknown, index: number): void => {
          done(result, index)
          left--
          if (left === 0) end(resolve)
        }
        if (dead) return failed(dead)
        if (left === 0) return end(resolve)
        for (const worker of workers) {
          worker.on('message', ({ index, result }: { index: number; result: unknown }) => {
            feed(worker)
            try {
              throwIfAborted(signal, 'Training')
              finish(result, index)
            } catch (error) {
              fail(error as Error)
            }
          })
          // Two jobs each: the next one waits there while a result is taken in.
          feed(worker)
        }
        for (const worker of workers) feed(worker)
        // A turn before each job: threads wait for their next ones.
        if (helps) work(setup, signal, 0, take, finish).catch(fail)
      }),
    close,
  }
}

export function openPool(setup: TreeSetup, plan: PoolPlan, signal: AbortSignal | undefined): TreePool {
  return plan.workers > 0 ? workerPool(setup, plan, signal) : inlinePool(setup, signal)
}

/** Memory that threads share, and memory of one thread. Pages that are never written to take no space. */
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

/** Space for the same numbers in memory that threads share; shared memory is returned as it is. */
export const sharedRoom = (x: Float32Array): Float32Array =>
  x.buffer instanceof SharedArrayBuffer ? x : shared.float32(x.length)

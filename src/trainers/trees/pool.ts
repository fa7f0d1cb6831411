import { Fc7Error, interruption, throwIfAborted } from '../../base/errors.js'
import { turnMs, turnTaker } from '../../base/turns.js'
import { WorkerClient } from '../../base/worker/client.js'
import { perform, type TreeJob, type TreeRequests, type TreeSetup } from './work.js'

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

const openWorker = (setup: TreeSetup, thread: number): WorkerClient<TreeRequests> =>
  new WorkerClient({
    url: import.meta.resolve('#workers/trainers/trees/worker.js'),
    data: { setup, thread },
    ended: (why) =>
      new Fc7Error('TRAINING_THREAD', `A training thread ended: ${why}`, {
        hint: 'Is there enough memory? Try --threads 1, or fewer rows or columns (pca:<n>).',
      }),
  })

/** Rejects when the signal fires; listens no longer than until `end` does. */
const whenAborted = (signal: AbortSignal | undefined, end: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const listener = () => reject(interruption(signal, 'Training'))
    signal?.addEventListener('abort', listener, { once: true, signal: end })
  })

/** Jobs that wait in a thread beside the one in work: it need not wait for its next one while a result is taken in. */
const jobsInThread = 2

function workerPool(setup: TreeSetup, { workers: count, helps }: PoolPlan, signal: AbortSignal | undefined): TreePool {
  const workers = Array.from({ length: count }, (_, k) => openWorker(setup, k + 1))
  return {
    async run(jobs, done) {
      throwIfAborted(signal, 'Training')
      let next = 0
      let failed = false
      const take = () => (next < jobs.length && !failed ? { index: next, job: jobs[next++]! } : undefined)
      const feed = async (worker: WorkerClient<TreeRequests>): Promise<void> => {
        for (let given = take(); given; given = take()) {
          const { index, job } = given
          const result = await worker.ask('perform', job)
          throwIfAborted(signal, 'Training')
          if (!failed) done(result, index)
        }
      }
      // First one job for every thread, then the second ones.
      const feeders = Array.from({ length: jobsInThread }, () => workers.map(feed)).flat()
      // A turn before each job: threads wait for their next ones.
      if (helps) feeders.push(work(setup, signal, 0, take, (result, index) => failed || done(result, index)))
      const stop = new AbortController()
      try {
        await Promise.race([Promise.all(feeders), whenAborted(signal, stop.signal)])
      } catch (error) {
        failed = true
        throw error
      } finally {
        stop.abort()
      }
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.terminate()))
    },
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

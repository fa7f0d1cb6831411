import { totalmem } from 'node:os'
import { Fc7Error, InterruptedError, throwIfAborted } from '../../base/errors.js'
import { WorkerClient } from '../../base/worker/client.js'
import type { Trainer } from '../../trainers/contract.js'
import { runFit } from './fit.js'
import type { FitJob, FitResult, FitTable } from './fit-job.js'

/** One fit to run; its job is made only when its turn comes. */
export interface FitRun {
  readonly table: string
  readonly trainer: Trainer
  /** Larger runs start earlier, so that no long one is left alone at the end. */
  readonly weight: number
  job(): FitJob
  /** Keeps the result; awaited before the fit counts as done. */
  finish(job: FitJob, result: FitResult, peakMemoryBytes: number | null): Promise<void>
}

export interface ExecutorOptions {
  /** Threads in all; a fit's own threads count. */
  readonly threads: number
  readonly memoryBytes?: number | undefined
  readonly workers: boolean
  readonly signal?: AbortSignal | undefined
  readonly onDone: () => void
}

/** What the worker is started with: matrices in shared memory. */
export interface WorkerTables {
  readonly tables: readonly (readonly [string, Omit<FitTable, 'x'> & { readonly shared: SharedArrayBuffer }])[]
}
/** What a fitting thread can be asked. */
export type FitRequests = {
  fit: { ask: { readonly job: FitJob; readonly table: string }; answer: FitResult }
}

/** Runs one job somewhere. */
interface FitRunner {
  run(table: string, job: FitJob, trainer: Trainer): Promise<FitResult>
  close(): Promise<void>
}

/**
 * Threads for the next fit: one each while there are fits enough, an equal share of the budget once there are fewer.
 */
export const threadsFor = (budget: number, unfinished: number): number =>
  Math.max(1, Math.floor(budget / Math.max(1, unfinished)))

/**
 * Memory that a fit may need: its rows three times over (as copied, as preprocessed, as the trainer keeps them) and its
 * test rows.
 */
export const fitBytes = (job: FitJob, dim: number): number =>
  4 * dim * (3 * job.trainRows.length + 2 * job.testRows.length)

function workerRunner(tables: WorkerTables): FitRunner {
  const client = new WorkerClient<FitRequests>({
    url: import.meta.resolve('#workers/evaluation/fit/fit-worker.js'),
    data: tables,
    ended: (why) =>
      new Fc7Error('FIT_FAILED', `A thread that fitted a classifier ended: ${why}.`, {
        hint: 'Is there enough memory? Use fewer --threads.',
      }),
  })
  return { run: (table, job) => client.ask('fit', { job, table }), close: () => client.terminate() }
}

const localRunner = (tables: ReadonlyMap<string, FitTable>, signal?: AbortSignal): FitRunner => ({
  run: (table, job, trainer) => runFit(job, tables.get(table)!, trainer, signal),
  close: async () => {},
})

/**
 * Copies matrices into shared memory once, whatever the number of workers; one that lives there already is taken as it
 * is.
 */
function share(tables: ReadonlyMap<string, FitTable>): WorkerTables {
  return {
    tables: [...tables].map(([key, { x, ...rest }]) => {
      if (x.buffer instanceof SharedArrayBuffer && x.byteOffset === 0 && x.byteLength === x.buffer.byteLength)
        return [key, { ...rest, shared: x.buffer }] as const
      const shared = new SharedArrayBuffer(x.byteLength)
      new Float32Array(shared).set(x)
      return [key, { ...rest, shared }] as const
    }),
  }
}

/**
 * Runs fits side by side under one budget of threads and memory. A fit that alone exceeds the memory budget runs alone.
 * The first failure stops the rest; what was finished stays finished.
 *
 * @throws the first fit's error; InterruptedError
 */
export async function executeFits(
  runs: readonly FitRun[],
  tables: ReadonlyMap<string, FitTable>,
  options: ExecutorOptions,
): Promise<void> {
  const queue = runs.map((run, i) => ({ run, i })).sort((a, b) => b.run.weight - a.run.weight || a.i - b.i)
  const memory = options.memoryBytes ?? totalmem() / 2
  const shared = options.workers ? share(tables) : undefined
  const idle: FitRunner[] = []
  const runners: FitRunner[] = []
  // Memory is the process's: only a fit that had it to itself from start to end knows what it took.
  const active = new Set<{ readonly start: number; peak: number; alone: boolean }>()
  let threads = options.workers ? Math.max(1, options.threads) : 1
  const budget = options.threads
  let held = 0
  let failure: unknown
  let wake: () => void = () => {}
  const sampler = setInterval(() => {
    const { rss } = process.memoryUsage()
    for (const fit of active) fit.peak = Math.max(fit.peak, rss - fit.start)
  }, 100)
  sampler.unref()
  const stop = (): void => {
    failure ??= new InterruptedError('The comparison')
    wake()
  }
  options.signal?.addEventListener('abort', stop, { once: true })

  const begin = (run: FitRun, job: FitJob, bytes: number, own: number): void => {
    const runner = idle.pop() ?? (shared ? workerRunner(shared) : localRunner(tables, options.signal))
    if (!runners.includes(runner)) runners.push(runner)
    const start = process.memoryUsage().rss
    const watched = { start, peak: 0, alone: active.size === 0 }
    for (const other of active) other.alone = false
    active.add(watched)
    held += bytes
    threads -= own
    runner
      .run(run.table, job, run.trainer)
      .then(async (result) => {
        if (failure !== undefined) return
        const peak = Math.max(watched.peak, process.memoryUsage().rss - start, 0)
        await run.finish(job, result, watched.alone ? peak : null)
        options.onDone()
      })
      .catch((error: unknown) => {
        failure ??= error
      })
      .finally(() => {
        active.delete(watched)
        idle.push(runner)
        held -= bytes
        threads += own
        wake()
      })
  }

  try {
    throwIfAborted(options.signal, 'The comparison')
    while (failure === undefined && (queue.length > 0 || active.size > 0)) {
      const next = queue[0]
      if (next && threads > 0) {
        const own = Math.min(threads, threadsFor(budget, queue.length + active.size))
        const job = { ...next.run.job(), threads: own }
        const bytes = fitBytes(job, tables.get(next.run.table)!.dim)
        if (active.size === 0 || held + bytes <= memory) {
          queue.shift()
          begin(next.run, job, bytes, options.workers ? own : 1)
          continue
        }
      }
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    // Without workers an aborted or failing fit still owns this thread: wait for it before leaving.
    while (!shared && active.size > 0)
      await new Promise<void>((resolve) => {
        wake = resolve
      })
  } finally {
    clearInterval(sampler)
    options.signal?.removeEventListener('abort', stop)
    await Promise.all(runners.map((runner) => runner.close()))
  }
  if (failure !== undefined) throw failure
}

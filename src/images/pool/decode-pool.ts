import { Fc7Error } from '../../base/errors.js'
import { WorkerClient } from '../../base/worker/client.js'
import { restrictLoaders } from '../decode/decode.js'
import { maxImageSeconds } from '../decode/decode-errors.js'
import { parseRecipe } from '../recipe/recipe.js'
import type { DecodeFailure, DecodeRequests, DecodeResult, DecodeSettings, DecodeTask } from './decode-requests.js'

export type {
  DecodedImage,
  DecodeFailure,
  DecodeResult,
  DecodeSettings,
  DecodeSlot,
  DecodeTask,
} from './decode-requests.js'

export interface DecodePoolOptions extends DecodeSettings {
  /** Decoding threads. Default 1. */
  readonly threads?: number | undefined
  /** Tasks that may wait before {@link DecodePool.whenRoom} holds the caller back. Default four a thread. */
  readonly maxQueued?: number | undefined
  /**
   * A task that takes longer fails, and its thread is replaced. Default the item limit, 20 s, plus one for the thread's
   * own.
   */
  readonly timeoutSeconds?: number | undefined
  /** Another worker body, for tests. */
  readonly workerUrl?: string | undefined
}

interface Job {
  readonly task: DecodeTask
  readonly settle: (result: DecodeResult) => void
}

interface Thread {
  readonly client: WorkerClient<DecodeRequests>
  /** The first is being decoded, the others wait in the thread's mailbox. */
  readonly jobs: Job[]
  ready: boolean
  timer?: NodeJS.Timeout | undefined
}

/**
 * A thread's short-lived objects are few; left to itself, V8 would let them take some 50 MB in each thread before it
 * looks.
 */
const maxYoungGenerationSizeMb = 6

/** Jobs handed to a thread at once, so that it never waits for its next one. */
const jobsPerThread = 2

const failure = (code: string, message: string, hint: string): DecodeFailure => ({ ok: false, code, message, hint })

/**
 * Decoding threads behind a queue. An image that crashes its thread or outlasts the limit fails alone: the thread is
 * replaced and the tasks that waited behind it go to another.
 *
 * @example
 * const pool = new DecodePool({ recipe, threads: 2 })
 * await pool.whenRoom()
 * const result = await pool.submit({ path: 'cat.jpg', slot: { buffer, byteOffset: 0 } })
 * await pool.close()
 */
export class DecodePool {
  /** Decoding threads that are kept running. */
  threads: number
  readonly #settings: DecodeSettings
  readonly #maxQueued: number
  readonly #timeoutMilliseconds: number
  readonly #url: string
  readonly #running: Thread[] = []
  readonly #queue: Job[] = []
  #waiting: (() => void)[] = []
  #closed = false
  #broken: DecodeFailure | undefined

  constructor(options: DecodePoolOptions) {
    const { recipe, resizeMode = 'exact', orient = false, thumbnail = false, hash = false } = options
    this.#settings = { recipe: parseRecipe(recipe), resizeMode, orient, thumbnail, hash }
    this.threads = Math.max(1, Math.floor(options.threads ?? 1))
    this.#maxQueued = Math.max(1, options.maxQueued ?? 4 * this.threads)
    this.#timeoutMilliseconds = (options.timeoutSeconds ?? maxImageSeconds + 1) * 1000
    this.#url = options.workerUrl ?? import.meta.resolve('#workers/images/pool/decode-worker.js')
    for (let i = 0; i < this.threads; i++) this.#start()
  }

  /** Tasks submitted and not yet answered. */
  get pending(): number {
    return this.#queue.length + this.#running.reduce((sum, thread) => sum + thread.jobs.length, 0)
  }

  /**
   * Decodes one image. The promise never rejects for a bad image: failures are results with `ok: false`, a code and a
   * sentence. `bytes` are copied to the thread. Wait for {@link whenRoom} before submitting, to keep memory bounded.
   * @throws Fc7Error DECODE_POOL_CLOSED
   */
  submit(task: DecodeTask): Promise<DecodeResult> {
    if (this.#closed) throw new Fc7Error('DECODE_POOL_CLOSED', 'The decoding pool is closed.')
    if (this.#broken) return Promise.resolve(this.#broken)
    return new Promise((settle) => {
      this.#queue.push({ task, settle })
      this.#dispatch()
    })
  }

  /** Resolves when fewer tasks wait than the queue's bound. */
  async whenRoom(): Promise<void> {
    while (this.#queue.length >= this.#maxQueued && !this.#closed && !this.#broken) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** Starts one more thread, for callers who find that they wait for decoding. */
  addThread(): void {
    if (this.#closed || this.#broken) return
    this.threads++
    this.#start()
  }

  /** Stops the threads; what was not answered is answered with INTERRUPTED. */
  async close(): Promise<void> {
    this.#closed = true
    const stopped = failure('INTERRUPTED', 'Decoding was stopped.', 'The same command resumes.')
    const threads = this.#running.splice(0)
    for (const thread of threads) {
      clearTimeout(thread.timer)
      for (const job of thread.jobs.splice(0)) job.settle(stopped)
    }
    for (const job of this.#queue.splice(0)) job.settle(stopped)
    this.#wake()
    await Promise.all(threads.map((thread) => thread.client.terminate()))
  }

  #start(): void {
    restrictLoaders()
    const client = new WorkerClient<DecodeRequests>({
      url: this.#url,
      data: this.#settings,
      resourceLimits: { maxYoungGenerationSizeMb },
      ended: (why) => new Error(why),
      onEnd: (why) => this.#lost(thread, why),
    })
    const thread: Thread = { client, jobs: [], ready: false }
    this.#running.push(thread)
    client.keepAlive(this.#queue.length > 0)
    client.ready.then(
      () => {
        thread.ready = true
        client.keepAlive(false)
        this.#dispatch()
      },
      () => {},
    )
  }

  #answer(thread: Thread, job: Job, result: DecodeResult): void {
    const index = thread.jobs.indexOf(job)
    if (index < 0) return
    thread.jobs.splice(index, 1)
    job.settle(result)
    this.#watch(thread)
    this.#dispatch()
  }

  /** Starts the clock of the job that the thread works on now. */
  #watch(thread: Thread): void {
    clearTimeout(thread.timer)
    if (thread.jobs.length === 0) return
    thread.timer = setTimeout(() => this.#replace(thread, 'timeout'), this.#timeoutMilliseconds)
  }

  #lost(thread: Thread, why: string): void {
    if (!this.#running.includes(thread)) return
    if (thread.ready) this.#replace(thread, why)
    else this.#give(thread, why)
  }

  /** Fails the job in work, returns the others to the queue, starts another thread. */
  #replace(thread: Thread, why: string): void {
    const index = this.#running.indexOf(thread)
    if (index < 0) return
    this.#running.splice(index, 1)
    clearTimeout(thread.timer)
    void thread.client.terminate()
    const [job, ...others] = thread.jobs.splice(0)
    this.#queue.unshift(...others)
    if (job) {
      const what = job.task.name ?? (typeof job.task.path === 'string' ? job.task.path : 'The image')
      job.settle(
        why === 'timeout'
          ? failure(
              'IMAGE_TIMEOUT',
              `${what} took longer than ${this.#timeoutMilliseconds / 1000} s to decode.`,
              'The file may be made to waste time; remove it or re-encode it.',
            )
          : failure('IMAGE_CRASH', `${what} brought its decoding thread down: ${why}.`, 'Remove or re-encode it.'),
      )
    }
    if (!this.#closed) this.#start()
    this.#dispatch()
  }

  /** A thread that cannot even start would fail for ever: everything fails at once, with the reason. */
  #give(thread: Thread, why: string): void {
    this.#running.splice(this.#running.indexOf(thread), 1)
    void thread.client.terminate()
    if (this.#running.length > 0) return
    this.#broken = failure(
      'DECODE_WORKER_FAILED',
      `No decoding thread could be started: ${why}.`,
      'In a checkout run `npm run build`; else see `fc7 doctor`.',
    )
    for (const job of this.#queue.splice(0)) job.settle(this.#broken)
    this.#wake()
  }

  #dispatch(): void {
    for (let depth = 0; depth < jobsPerThread; depth++) {
      for (const thread of this.#running) {
        if (!thread.ready) {
          if (this.#queue.length) thread.client.keepAlive(true)
          continue
        }
        if (thread.jobs.length !== depth || this.#queue.length === 0) continue
        const job = this.#queue.shift()!
        thread.jobs.push(job)
        // A thread that dies is heard of by `onEnd`.
        thread.client.ask('decode', job.task).then(
          (result) => this.#answer(thread, job, result),
          () => {},
        )
        if (thread.jobs.length === 1) this.#watch(thread)
      }
    }
    if (this.#queue.length < this.#maxQueued) this.#wake()
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}

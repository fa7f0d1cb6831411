import { InterruptedError, throwIfAborted } from '../../base/errors.js'
import { silentProgress } from '../../base/progress.js'
import type { RunResult } from '../../runtime/inference-requests.js'
import { commitShard, type FinishedBatch, shardState } from '../store/commit.js'
import { finishStore, prepareOut } from '../store/finish.js'
import type { ExtractionJob } from '../store/job.js'
import type { Manifest } from '../store/layout.js'
import { encodePlan, shardRange, shardsOfPart } from '../store/plan.js'
import { type Unit, unitsOf } from '../store/views.js'
import { Slots } from './slots.js'
import { Stages } from './stages.js'

export interface ExtractionSummary {
  readonly rows: number
  readonly failures: number
  /** Shards computed by this call, and those that were done before. */
  readonly computedShards: number
  readonly reusedShards: number
  readonly images: number
  readonly seconds: number
  /**
   * What came after every session's first batch: the pace without starting up. No images where the work ended before.
   */
  readonly steady: { readonly images: number; readonly seconds: number }
  /** Seconds in which the others waited for the network, for decoding, for the disk; see {@link Stages}. */
  readonly waited: { readonly inference: number; readonly decode: number; readonly disk: number }
  /** Null while other parts are missing. */
  readonly manifest: Manifest | null
}

/**
 * Computes the shards of a plan that are not done yet: decoding and inference overlap, memory is bounded by a shard and
 * `lookAhead` batches, and each shard is whole on disk before it counts. Interrupted, it finishes what is complete and
 * throws; called again, it does the rest.
 *
 * @throws Fc7Error OUT_OTHER_PLAN, OUT_NOT_A_STORE, INTERRUPTED, WRITE_…
 */
export async function executeExtraction<Source>(job: ExtractionJob<Source>): Promise<ExtractionSummary> {
  const { plan, out, signal, progress = silentProgress } = job
  const started = performance.now()
  throwIfAborted(signal, 'The extraction')
  await prepareOut(out, plan, job.force ?? false)
  const { hash } = encodePlan(plan)

  const mine = shardsOfPart(plan, job.parts ?? 1, job.part ?? 0)
  const todo = new Set<number>()
  for (const i of mine) {
    const state = await shardState(out, plan, hash, i)
    if (state === undefined || (job.retryFailed && state.failures.length > 0)) todo.add(i)
  }
  const total = [...todo].reduce((sum, i) => sum + shardRange(plan, i).end - shardRange(plan, i).start, 0)
  const task = total > 0 ? progress.task({ label: 'Extracting', total, unit: 'images' }) : undefined

  const bytesPerImage = job.width * job.height * 3
  const sessions = job.inference.sessions ?? 1
  const lookAhead = job.lookAhead ?? 2 * sessions + 2
  const buffers = new Slots(Array.from({ length: lookAhead }, () => new SharedArrayBuffer(job.batch * bytesPerImage)))
  const disk = new Slots([0])
  // Shards begun and not yet written: enough to fill the buffers and have one being written, so that a slow disk holds
  // the rest up.
  const shardItems = shardRange(plan, 0).end
  const shards = new Slots(Array.from({ length: Math.ceil((lookAhead * job.batch) / shardItems) + 2 }, (_, i) => i))
  const stages = new Stages(sessions)
  const running = new Set<Promise<void>>()
  let failed: unknown
  let done = 0
  let failures = 0
  let batchesRun = 0
  const warm = { images: 0, at: started }
  let lastBatchAt = started

  const track = (work: Promise<void>): void => {
    const guarded = work
      .catch((error) => {
        failed ??= error
      })
      .finally(() => running.delete(guarded))
    running.add(guarded)
  }

  const runBatch = async (units: readonly Unit<Source>[], buffer: SharedArrayBuffer): Promise<FinishedBatch> => {
    try {
      const decoded = await Promise.all(
        units.map(({ item, view, augmentation, first }, i) =>
          stages.during('decode', () =>
            job.decoder.decode(
              item.source,
              buffer,
              i * bytesPerImage,
              view > 0 || augmentation ? { thumbnail: first, augmentation } : undefined,
            ),
          ),
        ),
      )
      const bad = decoded.filter((image) => !image.ok).length
      // A failed image leaves old pixels in its place; its row is computed and dropped, which is rare and keeps rows in
      // order.
      const result: RunResult =
        bad === units.length
          ? { outputs: [], milliseconds: 0 }
          : await stages.during('inference', () => job.inference.run(buffer, [units.length, job.height, job.width, 3]))
      job.tuner?.ran(units.length, result.cpuMilliseconds || result.milliseconds)
      job.onBatch?.(stages.waitedMs.decode)
      done += units.filter((unit) => unit.last).length
      failures += units.filter((unit, i) => unit.first && !decoded[i]!.ok).length
      lastBatchAt = performance.now()
      if (++batchesRun <= sessions) Object.assign(warm, { images: done, at: lastBatchAt })
      task?.update(done, failures > 0 ? `${failures} failed` : '')
      return { items: units.map((unit, i) => ({ ...unit, decoded: decoded[i]! })), result }
    } finally {
      buffers.give(buffer)
    }
  }

  const finishShard = async (i: number, batches: readonly Promise<FinishedBatch>[], slot: number): Promise<void> => {
    try {
      const finished = await Promise.all(batches)
      const turn = await disk.take()
      try {
        await stages.during('disk', () => commitShard(out, plan, hash, i, finished))
      } finally {
        disk.give(turn)
      }
    } finally {
      shards.give(slot)
    }
  }

  let index = 0
  let shard = 0
  let batches: Promise<FinishedBatch>[] = []
  let waiting: Unit<Source>[] = []
  let slot: number | undefined
  const flush = async (): Promise<void> => {
    if (waiting.length === 0) return
    const units = waiting
    waiting = []
    const batch = runBatch(units, await buffers.take())
    // Its failure is reported through the shard that holds it.
    batch.catch(() => {})
    batches.push(batch)
  }
  if (todo.size > 0) {
    for await (const item of job.items()) {
      if (signal?.aborted || failed !== undefined || index >= plan.dataset.items) break
      if (todo.has(shard)) {
        slot ??= await shards.take()
        for (const unit of unitsOf(plan, item)) {
          waiting.push(unit)
          if (waiting.length >= (job.tuner?.size ?? job.batch)) await flush()
        }
      }
      index++
      if (index === shardRange(plan, shard).end) {
        await flush()
        if (slot !== undefined) track(finishShard(shard, batches, slot))
        slot = undefined
        batches = []
        shard++
      }
    }
  }
  await Promise.allSettled(batches)
  while (running.size > 0) await Promise.all(running)
  if (failed !== undefined) {
    task?.end()
    throw failed
  }
  if (signal?.aborted) {
    task?.end()
    throw new InterruptedError('The extraction')
  }
  task?.end()

  const manifest = await finishStore(out, plan, hash)
  const seconds = (performance.now() - started) / 1000
  const { decode, inference, disk: written } = stages.waitedMs
  const waited = { inference: inference / 1000, decode: decode / 1000, disk: written / 1000 }
  const commits = await Promise.all(mine.map((i) => shardState(out, plan, hash, i)))
  return {
    rows: commits.reduce((sum, commit) => sum + (commit?.rows ?? 0), 0),
    failures: commits.reduce((sum, commit) => sum + (commit?.failures.length ?? 0), 0),
    computedShards: todo.size,
    reusedShards: mine.length - todo.size,
    images: done,
    seconds,
    steady: { images: done - warm.images, seconds: (lastBatchAt - warm.at) / 1000 },
    waited,
    manifest,
  }
}

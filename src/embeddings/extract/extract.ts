import { InterruptedError, throwIfAborted } from '../../base/errors.js'
import { silentProgress } from '../../base/progress.js'
import { shardState } from '../store/commit.js'
import { finishStore, prepareOut } from '../store/finish.js'
import type { ExtractionJob } from '../store/job.js'
import type { Manifest } from '../store/layout.js'
import { type ExtractionPlan, encodePlan, shardRange, shardsOfPart } from '../store/plan.js'
import { unitsOf } from '../store/views.js'
import { BatchRunner } from './pipeline/batch-runner.js'
import { readShards, type ShardItem } from './pipeline/shard-reader.js'
import { ShardWriter } from './pipeline/shard-writer.js'
import { Stages } from './pipeline/stages.js'
import { ExtractionTally } from './pipeline/tally.js'

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

/** The shards of this process's part that are not done yet, or are to be done again for their failures. */
async function shardsToCompute(
  { plan, out, retryFailed }: ExtractionJob<unknown>,
  planHash: string,
  part: readonly number[],
): Promise<ReadonlySet<number>> {
  const todo = new Set<number>()
  for (const shard of part) {
    const state = await shardState(out, plan, planHash, shard)
    if (state === undefined || (retryFailed && state.failures.length > 0)) todo.add(shard)
  }
  return todo
}

/** What a run of the pipeline measured. */
type Measured = Pick<ExtractionSummary, 'images' | 'steady' | 'waited'>

const nothingMeasured: Measured = {
  images: 0,
  steady: { images: 0, seconds: 0 },
  waited: { inference: 0, decode: 0, disk: 0 },
}

/** Moves items from the reader to the runner, and shards to the writer. However it ends, what is whole is written. */
async function pump<Source>(
  items: AsyncIterable<ShardItem<Source>>,
  plan: ExtractionPlan,
  runner: BatchRunner<Source>,
  writer: ShardWriter,
): Promise<void> {
  try {
    for await (const { shard, item, last } of items) {
      await writer.begin()
      await runner.add(unitsOf(plan, item))
      if (last) writer.end(shard, await runner.endShard())
    }
  } finally {
    await runner.abandonShard()
    await writer.drain()
  }
}

/** Sets up the stages and runs them. @throws Fc7Error of the stage that failed first; INTERRUPTED */
async function computeShards<Source>(
  job: ExtractionJob<Source>,
  planHash: string,
  todo: ReadonlySet<number>,
): Promise<Measured> {
  const { plan, out, signal, batch } = job
  const total = [...todo].reduce((sum, i) => sum + shardRange(plan, i).end - shardRange(plan, i).start, 0)
  const task = (job.progress ?? silentProgress).task({ label: 'Extracting', total, unit: 'images' })
  const sessions = job.inference.sessions ?? 1
  const lookAhead = job.lookAhead ?? 2 * sessions + 2
  const stages = new Stages(sessions)
  const tally = new ExtractionTally({ sessions, task })
  const runner = new BatchRunner({ job, stages, tally, lookAhead })
  // Enough shards to fill the buffers, one that begins and one that is being written.
  const maxShards = Math.ceil((lookAhead * batch) / shardRange(plan, 0).end) + 2
  const writer = new ShardWriter({ out, plan, planHash, stages, maxShards })
  const items = readShards(job, todo, () => signal?.aborted || writer.failed)
  await pump(items, plan, runner, writer).finally(() => task.end())
  if (signal?.aborted) throw new InterruptedError('The extraction')
  return { images: tally.images, steady: tally.steady, waited: stages.waitedSeconds }
}

/**
 * Computes the shards of a plan that are not done yet: decoding and inference overlap, memory is bounded by a shard and
 * `lookAhead` batches, and each shard is whole on disk before it counts. Interrupted, it finishes what is complete and
 * throws; called again, it does the rest.
 *
 * @throws Fc7Error OUT_OTHER_PLAN, OUT_NOT_A_STORE, INTERRUPTED, WRITE_…
 */
export async function executeExtraction<Source>(job: ExtractionJob<Source>): Promise<ExtractionSummary> {
  const { plan, out } = job
  const started = performance.now()
  throwIfAborted(job.signal, 'The extraction')
  await prepareOut(out, plan, job.force ?? false)
  const { hash } = encodePlan(plan)
  const part = shardsOfPart(plan, job.parts ?? 1, job.part ?? 0)
  const todo = await shardsToCompute(job, hash, part)
  const measured = todo.size > 0 ? await computeShards(job, hash, todo) : nothingMeasured
  const manifest = await finishStore(out, plan, hash)
  const seconds = (performance.now() - started) / 1000
  const commits = await Promise.all(part.map((i) => shardState(out, plan, hash, i)))
  return {
    rows: commits.reduce((sum, commit) => sum + (commit?.rows ?? 0), 0),
    failures: commits.reduce((sum, commit) => sum + (commit?.failures.length ?? 0), 0),
    computedShards: todo.size,
    reusedShards: part.length - todo.size,
    images: measured.images,
    seconds,
    steady: measured.steady,
    waited: measured.waited,
    manifest,
  }
}

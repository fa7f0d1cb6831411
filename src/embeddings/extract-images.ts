import { appendFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { Fc7Error } from '../base/errors.js'
import { explainWriteError } from '../base/files.js'
import { silentProgress } from '../base/progress.js'
import type { DatasetItem } from '../datasets/contract.js'
import { InferenceWorker } from '../runtime/inference.js'
import { machineFacts, splitThreads, type ThreadSplit } from '../runtime/machine.js'
import { chooseBatch } from './calibrate.js'
import { type ExtractionSummary, executeExtraction } from './extract.js'
import { prepareOut } from './finish.js'
import { runPath } from './layout.js'
import { extractionItem, PictureDecoder } from './picture-decoder.js'
import { checkCount, type ExtractionRequest, graphFile, type PreparedExtraction, prepareExtraction } from './prepare.js'

export interface ExtractionRun {
  readonly out: string
  /** Pictures a run of the network. Default: measured. */
  readonly batch?: number
  /** Thread budget in all. Default: the cores. */
  readonly threads?: number
  readonly decodeThreads?: number
  /** Computes the shards whose index mod `shards` is `shard`. */
  readonly shards?: number
  readonly shard?: number
  readonly retryFailed?: boolean
  readonly force?: boolean
  readonly versions: Readonly<Record<string, string>>
}

export interface ImagesSummary extends ExtractionSummary {
  readonly out: string
  readonly plan: string
  readonly chosen: {
    readonly provider: string
    readonly batch: number
    readonly threads: ThreadSplit
    readonly rewrites: readonly string[]
  }
}

/** From here a measurement of batch sizes pays for itself. */
const worthMeasuring = 400

async function* itemsOf(prepared: PreparedExtraction, signal: AbortSignal | undefined) {
  let left = prepared.plan.dataset.items
  for await (const item of prepared.dataset.items(signal)) {
    if (left-- <= 0) return
    yield extractionItem(item)
  }
}

/** Runs what {@link prepareExtraction} prepared. @throws Fc7Error as executeExtraction */
export async function runExtraction(
  prepared: PreparedExtraction,
  request: ExtractionRequest,
  run: ExtractionRun,
): Promise<ImagesSummary> {
  const { plan, extraction, provider } = prepared
  const { progress = silentProgress, signal } = request
  for (const [name, value] of Object.entries({
    batch: run.batch,
    threads: run.threads,
    'decode-threads': run.decodeThreads,
  }))
    checkCount(name, value)
  const threads = splitThreads(run.threads ?? availableParallelism(), run.decodeThreads)
  const startedAt = new Date().toISOString()
  // Refuses a taken folder before a large graph is written and loaded.
  await prepareOut(run.out, plan, run.force ?? false)
  const graph = await graphFile(prepared)
  const inference = await InferenceWorker.open(graph, {
    providers: provider.sessionProviders,
    threads: threads.inference,
  })
  const decoder = new PictureDecoder({
    recipe: plan.recipe!.steps,
    resizeMode: plan.resize,
    orient: plan.orient,
    thumbnail: plan.thumbs,
    threads: threads.decode,
  })
  try {
    const { width, height } = extraction
    const batch = run.batch ?? (plan.dataset.items < worthMeasuring ? 8 : await chooseBatch(inference, width, height))
    const summary = await executeExtraction<DatasetItem>({
      plan,
      out: run.out,
      items: () => itemsOf(prepared, signal),
      width,
      height,
      decoder,
      inference,
      batch,
      ...(run.shards === undefined ? {} : { parts: run.shards }),
      ...(run.shard === undefined ? {} : { part: run.shard }),
      retryFailed: run.retryFailed ?? false,
      versions: run.versions,
      progress,
      ...(signal ? { signal } : {}),
    })
    const chosen = { provider: provider.id, batch, threads, rewrites: plan.rewrites }
    const { manifest: _, ...facts } = summary
    await appendFile(
      runPath(run.out),
      `${JSON.stringify({ startedAt, ...facts, chosen, machine: machineFacts(), versions: run.versions })}\n`,
    ).catch((error: unknown) => {
      throw explainWriteError(error, runPath(run.out))
    })
    return { ...summary, out: run.out, plan: prepared.planHash, chosen }
  } finally {
    await decoder.close()
    await inference.close()
  }
}

/**
 * From pictures to a store: the whole of `fc7 extract`.
 *
 * @throws Fc7Error of the data set, the backbone, the layer, the provider, the output folder; INTERRUPTED
 * @example
 * await extractImages(
 *   { source: 'photos', model: 'resnet50', cacheFolder: cacheFolder() },
 *   { out: 'photos.fc7', versions: {} },
 * )
 */
export async function extractImages(request: ExtractionRequest, run: ExtractionRun): Promise<ImagesSummary> {
  if ((run.shards === undefined) !== (run.shard === undefined)) {
    throw new Fc7Error('USAGE_SHARD', '--shards and --shard belong together.', {
      hint: 'Parts count from 0: --shards 4 --shard 0 … 3.',
    })
  }
  return runExtraction(await prepareExtraction(request, run.out), request, run)
}

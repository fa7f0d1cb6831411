import { appendFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { Fc7Error } from '../../base/errors.js'
import { explainWriteError } from '../../base/files.js'
import { versions } from '../../base/versions.js'
import type { DatasetItem } from '../../datasets/contract.js'
import { datasetOptions } from '../../datasets/open.js'
import { weightBytes } from '../../onnx/values.js'
import type { InferencePool } from '../../runtime/inference-pool.js'
import { machineFacts } from '../../runtime/machine.js'
import { prepareOut } from '../store/finish.js'
import { runPath } from '../store/layout.js'
import { BatchTuner, type MeasuredBatch } from './batch-tuner.js'
import { type ExtractionSummary, executeExtraction } from './extract.js'
import { extractionItem, ImageDecoder } from './image-decoder.js'
import { type MeasuredSplit, type OpenedInference, openInference } from './open-inference.js'
import { checkCount, type ExtractionRequest, graphFile, type PreparedExtraction, prepareExtraction } from './prepare.js'
import type { StoreSource } from './source-images.js'

export interface ExtractionRun {
  readonly out: string
  /** Images a run of the network. Default: measured on the first batches. */
  readonly batch?: number | undefined
  /** Thread budget in all. Default: the cores. */
  readonly threads?: number | undefined
  /** Sessions that share the threads, on the CPU. Default: as many as there are threads, if memory allows. */
  readonly sessions?: number | undefined
  /**
   * Threads that decode, beside inference. Default: begins with half (of few, with two) and adds one whenever the
   * network waits.
   */
  readonly decodeThreads?: number | undefined
  /** Computes the shards whose index mod `shards` is `shard`. */
  readonly shards?: number | undefined
  readonly shard?: number | undefined
  readonly retryFailed?: boolean | undefined
  readonly force?: boolean | undefined
}

export interface ImagesSummary extends ExtractionSummary {
  readonly out: string
  readonly plan: string
  readonly chosen: RunChoice
}

/** What was chosen for a run, by flags or by measurement. */
export interface RunChoice {
  readonly provider: string
  readonly batch: number
  readonly sessions: number
  readonly threadsPerSession: number
  readonly decodeThreads: number
  readonly rewrites: readonly string[]
  /** What the choices were made from; empty where flags or the small number of images decided. */
  readonly measured: { readonly batches: readonly MeasuredBatch[]; readonly splits: readonly MeasuredSplit[] }
}

/** Buffers of a batch never grow beyond this: a few of them are kept. */
const maxBatchBytes = 16 << 20

/** A window of time in which the network waited more than this share gets another decoding thread. */
const starved = { windowMs: 400, share: 0.05 }

/** Adds decoding threads, up to `max`, whenever the network has waited for images. */
function feedNetwork(decoder: ImageDecoder, max: number): (waitedMs: number) => void {
  let since: { readonly time: number; readonly waitedMs: number } | undefined
  return (waitedMs) => {
    const time = performance.now()
    // The clock starts with the first batch: everything waits for that.
    since ??= { time, waitedMs }
    const windowMs = time - since.time
    if (windowMs < starved.windowMs) return
    if (waitedMs - since.waitedMs > windowMs * starved.share && decoder.threads < max) decoder.addThread()
    since = { time, waitedMs }
  }
}

async function* itemsOf(prepared: PreparedExtraction, signal: AbortSignal | undefined) {
  let left = prepared.plan.dataset.items
  for await (const item of prepared.dataset.items(signal)) {
    if (left-- <= 0) return
    yield extractionItem(item)
  }
}

/** Starts the decoding threads: a few of those that there are; more follow where the network waits. */
function startDecoder({ plan }: PreparedExtraction, run: ExtractionRun, threads: number): ImageDecoder {
  return new ImageDecoder({
    recipe: plan.recipe!.steps,
    resizeMode: plan.resize,
    orient: plan.orient,
    thumbnail: plan.thumbs,
    threads: run.decodeThreads ?? Math.min(threads, Math.max(2, Math.ceil(threads / 2))),
  })
}

async function startInference(
  prepared: PreparedExtraction,
  run: ExtractionRun,
  threads: number,
): Promise<OpenedInference> {
  const { plan, extraction, provider } = prepared
  return openInference({
    graph: await graphFile(prepared),
    modelBytes: weightBytes(extraction.model),
    provider,
    threads,
    images: plan.dataset.items,
    width: extraction.width,
    height: extraction.height,
    sessions: run.sessions,
  })
}

/**
 * Appends a line to run.jsonl. It names the source, for reports that show larger images than thumbnails as long as the
 * source is there; the plan does not, because a moved folder is the same data set.
 */
async function appendRun(out: string, startedAt: string, source: StoreSource, facts: object): Promise<void> {
  const line = { startedAt, source, ...facts, machine: machineFacts(), versions: versions() }
  await appendFile(runPath(out), `${JSON.stringify(line)}\n`).catch((error: unknown) => {
    throw explainWriteError(error, runPath(out))
  })
}

function checkRun({ batch, threads, sessions, decodeThreads }: ExtractionRun): void {
  checkCount('batch-size', batch)
  checkCount('threads', threads)
  checkCount('sessions', sessions)
  checkCount('decode-threads', decodeThreads)
}

/** Runs what {@link prepareExtraction} prepared. @throws Fc7Error as executeExtraction */
export async function runExtraction(
  prepared: PreparedExtraction,
  request: ExtractionRequest,
  run: ExtractionRun,
): Promise<ImagesSummary> {
  const { plan, provider } = prepared
  const { width, height } = prepared.extraction
  const { progress, signal } = request
  checkRun(run)
  const threads = run.threads ?? availableParallelism()
  const startedAt = new Date().toISOString()
  // Refuses a taken folder before a large graph is written and loaded.
  await prepareOut(run.out, plan, run.force ?? false)
  // The decoders start while the graph is loaded.
  const decoder = startDecoder(prepared, run, threads)
  let pool: InferencePool | undefined
  try {
    const inference = await startInference(prepared, run, threads)
    const { sessions, perSession } = inference.split
    pool = inference.pool
    const maxBatch = Math.max(1, Math.min(provider.maxBatch, Math.floor(maxBatchBytes / (width * height * 3))))
    const tuner = run.batch === undefined ? new BatchTuner({ max: maxBatch, sessions }) : undefined
    const summary = await executeExtraction<DatasetItem>({
      plan,
      out: run.out,
      items: () => itemsOf(prepared, signal),
      width,
      height,
      decoder,
      inference: pool,
      batch: run.batch ?? maxBatch,
      tuner,
      onBatch: run.decodeThreads === undefined ? feedNetwork(decoder, threads) : undefined,
      parts: run.shards,
      part: run.shard,
      retryFailed: run.retryFailed,
      progress,
      signal,
    })
    const chosen: RunChoice = {
      provider: provider.id,
      batch: tuner?.size ?? run.batch!,
      sessions,
      threadsPerSession: perSession,
      decodeThreads: decoder.threads,
      rewrites: plan.rewrites,
      measured: { batches: tuner?.measured ?? [], splits: inference.measured },
    }
    const { manifest: _, ...facts } = summary
    const source: StoreSource = { path: resolve(request.source), ...datasetOptions(request) }
    await appendRun(run.out, startedAt, source, { ...facts, chosen })
    return { ...summary, out: run.out, plan: prepared.planHash, chosen }
  } finally {
    await decoder.close()
    await pool?.close()
  }
}

/**
 * From images to a store: the whole of `fc7 extract`.
 *
 * @throws Fc7Error of the data set, the backbone, the layer, the provider, the output folder; INTERRUPTED
 * @example
 * await extractImages(
 *   { source: 'photos', model: 'resnet50', cacheFolder: cacheFolder() },
 *   { out: 'photos.fc7' },
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

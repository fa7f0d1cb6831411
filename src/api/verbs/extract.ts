import { type ImagesSummary, runExtraction } from '../../embeddings/extract/extract-images.js'
import { type PreparedExtraction, prepareExtraction } from '../../embeddings/extract/prepare.js'
import { planStatus } from '../../embeddings/store/commit.js'
import type { ExtractionPlan } from '../../embeddings/store/plan.js'
import { plannedRows } from '../../embeddings/store/views.js'
import { carryTrainedOn } from '../../evaluation/guards/trained-on.js'
import { type CommonOptions, contextOf } from '../shared/context.js'
import { extractionRequest, type SourceOptions } from '../shared/source.js'

export interface ExtractOptions extends CommonOptions, SourceOptions {
  /** Folder, list (.csv, .jsonl), .tar or .parquet of images. */
  readonly source: string
  /** Store folder to write. */
  readonly out: string
  /** Images a run of the network. Default: measured. */
  readonly batchSize?: number | undefined
  /** Threads in all. Default: the cores. */
  readonly threads?: number | undefined
  /** Copies of the network that share the threads. Default: as many as memory holds. */
  readonly sessions?: number | undefined
  /** Of the threads, for decoding. Default: measured. */
  readonly decodeThreads?: number | undefined
  /** Number of parts, for several processes, and this part, from 0. */
  readonly shards?: number | undefined
  readonly shard?: number | undefined
  /** Computes shards with failures again. */
  readonly retryFailed?: boolean | undefined
  /** Replaces another store in `out`. */
  readonly force?: boolean | undefined
}

export type ExtractSummary = ImagesSummary & { readonly extractionPlan: ExtractionPlan }

/** What {@link extract} would do. */
export interface PlannedExtraction {
  readonly plan: ExtractionPlan
  /** The store's identity. */
  readonly planHash: string
  /** Shards that are done already. */
  readonly done: readonly number[]
  /** Rows of the whole store, and its classes. */
  readonly rows: number
  readonly classes: number
}

const prepare = (options: ExtractOptions): Promise<PreparedExtraction> =>
  prepareExtraction(extractionRequest(options.source, options, contextOf(options)), options.out)

/** Looks everything up and plans; computes nothing. */
export async function planExtract(options: ExtractOptions): Promise<PlannedExtraction> {
  const { plan, planHash, scan } = await prepare(options)
  return {
    plan,
    planHash,
    done: await planStatus(options.out, plan, planHash),
    rows: plannedRows(plan, scan.splits),
    classes: scan.labels.size,
  }
}

/** Embeds images into a store. */
export async function extract(options: ExtractOptions): Promise<ExtractSummary> {
  const prepared = await prepare(options)
  const { batchSize, threads, sessions, decodeThreads, shards, shard, retryFailed, force, out } = options
  const request = extractionRequest(options.source, options, contextOf(options))
  const run = { out, batch: batchSize, threads, sessions, decodeThreads, shards, shard, retryFailed, force }
  const summary = await runExtraction(prepared, request, run)
  await carryTrainedOn(prepared.backbone.weights?.path, out, prepared.plan.backbone.sha256)
  return { ...summary, extractionPlan: prepared.plan }
}

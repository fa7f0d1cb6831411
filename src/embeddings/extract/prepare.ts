import { basename, join, resolve } from 'node:path'
import { buildExtractionGraph, type Extraction, type Pooling } from '../../backbones/extraction.js'
import { extractionGraphFile } from '../../backbones/graph-file.js'
import { pullBackbone } from '../../backbones/pull.js'
import { type ResolvedBackbone, resolveBackbone } from '../../backbones/resolve.js'
import { Fc7Error } from '../../base/errors.js'
import { sha256 } from '../../base/files.js'
import { type Progress, silentProgress } from '../../base/progress.js'
import { formatBytes } from '../../base/text.js'
import type { DatasetOptions } from '../../datasets/contract.js'
import { type Dataset, type DatasetScan, datasetOptions, openDataset, scanDataset } from '../../datasets/open.js'
import { readModel } from '../../onnx/read.js'
import type { ExecutionProvider } from '../../runtime/providers/contract.js'
import { chooseProvider } from '../../runtime/providers/registry.js'
import { type ExtractionPlan, encodePlan, maxViews, planExtraction } from '../store/plan.js'
import { readPlan } from '../store/store.js'
import type { TestViews } from '../store/views.js'

/** Everything that decides the values of a store, as a user names it. */
export interface ExtractionRequest extends DatasetOptions {
  /** Folder, list, archive … of images. */
  readonly source: string
  /** Card id or ONNX file. */
  readonly model: string
  /** Aliases or tensor names; default the card's layer. */
  readonly layers?: readonly string[] | undefined
  readonly pool?: Pooling | undefined
  readonly recipe?: string | undefined
  readonly resize?: ExtractionPlan['resize'] | undefined
  readonly orient?: boolean | undefined
  readonly precision?: ExtractionPlan['precision'] | undefined
  /** `auto`, `cpu`, `cuda`, `webgpu`. Default `auto`. */
  readonly provider?: string | undefined
  readonly rewrite?: boolean | undefined
  readonly thumbs?: boolean | undefined
  readonly limit?: number | undefined
  /** Rows of each training image: itself and `views` − 1 seeded crops and mirror images. Default 1. */
  readonly views?: number | undefined
  /** Averages the embeddings of these views for every image outside the train split. */
  readonly testViews?: TestViews | undefined
  readonly shardSize?: number | undefined
  readonly seed?: number | string | undefined
  readonly cacheFolder: string
  readonly offline?: boolean | undefined
  readonly progress?: Progress | undefined
  readonly signal?: AbortSignal | undefined
}

/** A request with everything looked up: ready to run, nothing computed yet. */
export interface PreparedExtraction {
  readonly plan: ExtractionPlan
  readonly planHash: string
  readonly dataset: Dataset
  readonly scan: DatasetScan
  readonly backbone: ResolvedBackbone
  readonly extraction: Extraction
  readonly provider: ExecutionProvider
  readonly cacheFolder: string
}

/**
 * The extraction graph as a file: one is made per plan of layers and kept in the cache, the weights once per backbone.
 */
export async function graphFile({
  plan,
  extraction,
  cacheFolder,
}: Pick<PreparedExtraction, 'plan' | 'extraction' | 'cacheFolder'>): Promise<string> {
  const { backbone, layers, pool, recipe, rewrites } = plan
  const key = sha256(JSON.stringify({ version: 2, backbone: backbone.sha256, layers, pool, recipe, rewrites }))
  const names = { graph: key.slice(0, 32), weights: backbone.sha256.slice(0, 32) }
  return extractionGraphFile(extraction, join(cacheFolder, 'graphs'), names)
}

/** The backbone's weights, fetched where they are missing (after a line that names size and licence). */
export async function weightsOf(
  resolved: ResolvedBackbone,
  request: Pick<ExtractionRequest, 'cacheFolder' | 'offline' | 'progress' | 'signal'>,
): Promise<{ readonly path: string; readonly sha256: string }> {
  if (resolved.weights) return resolved.weights
  const { progress = silentProgress, cacheFolder, offline, signal } = request
  const size = resolved.pullBytes === undefined ? '' : `, ${formatBytes(resolved.pullBytes)}`
  if (!offline)
    progress.say(`Fetching ${resolved.card.title}${size}; licence: ${resolved.card.licence ?? 'not stated'}.`)
  return pullBackbone(resolved.card, { cacheFolder, offline, progress, signal })
}

/** The provider to plan with: a store that was begun keeps its own, unless another is asked for by name. */
async function providerFor(request: ExtractionRequest, out: string | undefined): Promise<ExecutionProvider> {
  const wanted = request.provider ?? 'auto'
  if (wanted === 'auto' && out !== undefined) {
    const held = await readPlan(out).catch(() => undefined)
    if (held && held.plan.provider !== 'none') return chooseProvider(held.plan.provider)
  }
  return chooseProvider(wanted)
}

/**
 * Looks everything up that a plan needs: scans the data set, finds (or fetches) the backbone, builds the extraction
 * graph, chooses the provider.
 *
 * @param out the store's folder, if it is known: a store begun there decides the provider of `auto`
 * @throws Fc7Error of the data set, the backbone, the layer, the provider
 */
export async function prepareExtraction(request: ExtractionRequest, out?: string): Promise<PreparedExtraction> {
  const { progress = silentProgress, signal } = request
  checkCount('limit', request.limit)
  checkCount('views', request.views, maxViews)
  const resolved = await resolveBackbone(request.model, {
    cacheFolder: request.cacheFolder,
    recipeName: request.recipe,
    offline: request.offline,
  })
  // Asked before anything is fetched: a wrong path should not cost a download.
  const dataset = await openDataset(request.source, datasetOptions(request))
  const scan = await scanDataset(dataset, { limit: request.limit, signal })
  progress.say(dataset.decision)
  for (const note of dataset.notes()) progress.say(note)
  const weights = await weightsOf(resolved, request)
  const provider = await providerFor(request, out)
  const rewrite = request.rewrite !== false && provider.id === 'cpu'
  const extraction = buildExtractionGraph(await readModel(weights.path), {
    recipe: resolved.recipe.recipe,
    card: resolved.card,
    pool: request.pool ?? 'avg',
    layers: request.layers,
    rewrites: rewrite ? undefined : [],
  })
  const plan = planExtraction({
    dataset: { name: basename(resolve(request.source)), items: scan.count, fingerprint: scan.fingerprint },
    backbone: { id: resolved.id, sha256: weights.sha256 },
    layers: extraction.layers.map(({ layer, tensor, dim }) => ({ name: layer, tensor, dim })),
    pool: request.pool ?? 'avg',
    recipe: { name: resolved.recipe.name, steps: resolved.recipe.recipe },
    rewrites: extraction.rewrites,
    provider: provider.id,
    resize: request.resize,
    orient: request.orient,
    views: request.views,
    testViews: request.testViews,
    precision: request.precision,
    thumbs: request.thumbs,
    seed: request.seed,
    shardSize: request.shardSize,
    limit: request.limit ?? null,
  })
  return {
    plan,
    planHash: encodePlan(plan).hash,
    dataset,
    scan,
    backbone: resolved,
    extraction,
    provider,
    cacheFolder: request.cacheFolder,
  }
}

/** Refuses an option that is not a whole number from 1 (to `max`). @throws Fc7Error USAGE_COUNT */
export function checkCount(name: string, value: number | undefined, max = Number.POSITIVE_INFINITY): void {
  if (value !== undefined && (!Number.isInteger(value) || value < 1 || value > max)) {
    const bound = max < Number.POSITIVE_INFINITY ? ` up to ${max}` : ''
    throw new Fc7Error('USAGE_COUNT', `--${name} ${value} is not a positive whole number${bound}.`, {
      hint: `Example: --${name} 8.`,
    })
  }
}

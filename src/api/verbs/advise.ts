import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { advise as measure } from '../../advisor/advise.js'
import { backwardOverForward, shareAbove } from '../../advisor/evidence/cost.js'
import { planSweep, type SweepPlan } from '../../advisor/evidence/depth.js'
import type { AdviceInput, DepthTable } from '../../advisor/evidence/input.js'
import { planAdvice } from '../../advisor/evidence/plan.js'
import { sourceStatistics } from '../../advisor/evidence/source-statistics.js'
import type { Advice } from '../../advisor/rules/advice-file.js'
import { classNames } from '../../backbones/library.js'
import { type Backbone, prepareBackbone } from '../../backbones/prepare.js'
import { resolveBackbone } from '../../backbones/resolve.js'
import { Fc7Error } from '../../base/errors.js'
import { weightsOf } from '../../embeddings/extract/prepare.js'
import { measuredPace } from '../../embeddings/store/runs.js'
import { isStore, openStore, readTable, readThumbs, type Store } from '../../embeddings/store/store.js'
import type { EmbeddingTable } from '../../embeddings/store/table.js'
import { itemsOf } from '../../evaluation/plan/items.js'
import { recipeSize } from '../../images/recipe/recipe-size.js'
import { readModel } from '../../onnx/read.js'
import { writeAdvice } from '../../report/pages/advice-page.js'
import { type CommonOptions, type Context, contextOf } from '../shared/context.js'
import { defaultModel, type SourceOptions } from '../shared/source.js'
import { storeFor } from '../shared/store-for.js'

export interface AdviseOptions extends CommonOptions, SourceOptions {
  /** Store, or images. */
  readonly source: string
  /** Epochs that costs are estimated for. Default: those of each strategy. */
  readonly epochs?: number | undefined
  /** Folder for advice.html and advice.json. Default: nothing is written. */
  readonly out?: string | undefined
  readonly threads?: number | undefined
  readonly batchSize?: number | undefined
  readonly sessions?: number | undefined
  readonly decodeThreads?: number | undefined
}

export interface AdviseResult {
  readonly advice: Advice
  readonly html: string | null
  readonly json: string | null
}

/** What {@link advise} would measure. */
export interface PlannedAdvice {
  readonly images: number
  readonly folds: number
  readonly repeats: number
  readonly fits: number
  readonly layers: readonly string[]
  readonly notes: readonly string[]
}

interface Network {
  readonly trunk: Backbone
  readonly sweep: SweepPlan
  /** Outputs of the source classifier, if the card names its classes. */
  readonly classes: number | undefined
}

/** The network that a model names, fetched where it is missing. */
async function networkOf(
  model: string,
  recipe: string | undefined,
  context: Context,
  fetch: boolean,
): Promise<Network> {
  const { cacheFolder, offline, progress, signal } = context
  const resolved = await resolveBackbone(model, { cacheFolder, recipeName: recipe, offline: offline || !fetch })
  if (!resolved.weights && !fetch)
    throw new Fc7Error('MODEL_MISSING', `The weights of ${model} are not here.`, { hint: '' })
  const weights = await weightsOf(resolved, { cacheFolder, offline, progress, signal })
  const trunk = prepareBackbone(await readModel(weights.path), {
    ...resolved.card.input,
    ...recipeSize(resolved.recipe.recipe),
  })
  return { trunk, sweep: planSweep(trunk, resolved.card), classes: (await classNames(resolved.card))?.length }
}

interface AdvisedStore {
  readonly store: Store
  /** undefined where a store's network is not at hand, or its embeddings were made elsewhere. */
  readonly network: Network | undefined
  /** Whether the source was a store already. */
  readonly given: boolean
}

/** The store to advise on: as given, or made of the images with the default layer, earlier ones and the scores. */
async function advisedStore(options: AdviseOptions, context: Context): Promise<AdvisedStore> {
  const { source } = options
  if (await isStore(source)) {
    const store = await openStore(source)
    const { backbone, recipe } = store.plan
    const network = await networkOf(backbone.id, recipe?.name, context, false).catch(() => undefined)
    return { store, network, given: true }
  }
  const network = await networkOf(options.model ?? defaultModel, options.recipe, context, true)
  const { layers, scores } = network.sweep
  const wanted = [...layers.map((layer) => layer.name), ...(scores === undefined ? [] : [scores])]
  return { store: await storeFor(source, { ...options, layers: wanted }, context), network, given: false }
}

/** The layers of a store that are embeddings, first to last. @throws Fc7Error LAYER_NEEDED where all are scores */
async function depthTables({ store, network }: AdvisedStore, source: string): Promise<DepthTable[]> {
  const read = store.plan.layers.filter((layer) => layer.name !== network?.sweep.scores)
  const depths: DepthTable[] = []
  for (const [i, layer] of read.entries()) {
    const planned = network?.sweep.layers.find(({ tensor }) => tensor === layer.tensor)
    depths.push({
      table: await readTable(store, layer.name),
      depth: planned?.depth ?? (i + 1) / read.length,
      shareAbove: network && planned ? shareAbove(network.trunk, planned.tensor) : undefined,
    })
  }
  if (depths.length > 0) return depths.sort((a, b) => a.depth - b.depth)
  const names = store.plan.layers.map((layer) => layer.name).join(', ')
  throw new Fc7Error('LAYER_NEEDED', `The store ${source} holds only the classifier's scores (${names}).`, {
    hint: 'Extract with the default layer, or give the images themselves.',
  })
}

/** The source classifier's scores, if the store holds them with as many columns as the card names classes. */
async function scoreTable({ store, network }: AdvisedStore): Promise<EmbeddingTable | undefined> {
  if (network?.sweep.scores === undefined) return undefined
  const { sweep, classes } = network
  const layer = store.plan.layers.find(
    ({ name, dim }) => name === sweep.scores && (classes === undefined || dim === classes),
  )
  return layer && readTable(store, layer.name)
}

/** What the commands that the advice names are given. */
function commandWords({ store, given }: AdvisedStore, { source, model, recipe }: AdviseOptions): AdviceInput['words'] {
  const severalLayers = store.plan.layers.length > 1
  if (given) return { severalLayers, images: null, model: [store.plan.backbone.id], store: source }
  const named = [model ?? defaultModel, ...(recipe === undefined ? [] : [recipe])]
  return { severalLayers, images: source, model: named, store: resolve(store.path) }
}

/** Everything that the advisor measures on. */
async function adviceInput(options: AdviseOptions, context: Context): Promise<AdviceInput> {
  const advised = await advisedStore(options, context)
  const { store, network } = advised
  const depths = await depthTables(advised, options.source)
  const last = depths.at(-1)!.table
  const scores = await scoreTable(advised)
  const dHashes = new Map([...(await readThumbs(store))].map(([id, { dHash }]) => [id, dHash]))
  const { id, sha256 } = store.plan.backbone
  const recipe = store.plan.recipe?.name ?? 'none'
  const boundary = network?.sweep.layers.at(-2)
  return {
    name: store.plan.dataset.name,
    backbone: { id, recipe },
    depths,
    scores,
    dHashes: dHashes.size > 0 ? dHashes : undefined,
    source: await sourceStatistics({ backbone: id, sha256, layer: last.layer, recipe, dim: last.dim }),
    boundary:
      network && boundary ? { name: boundary.name, shareAbove: shareAbove(network.trunk, boundary.tensor) } : undefined,
    backward: network && backwardOverForward(network.trunk),
    pace: await measuredPace(store.path),
    words: commandWords(advised, options),
  }
}

/** Embeds where needed, and says what would be measured; fits nothing. */
export async function planAdvise(options: AdviseOptions): Promise<PlannedAdvice> {
  const context = contextOf(options)
  const { depths } = await adviceInput(options, context)
  const items = itemsOf(depths.at(-1)!.table)
  const { sample, folds, curveFolds, fits, notes } = planAdvice(items, depths.length, context.seed)
  return {
    images: sample.length,
    folds: curveFolds.length,
    repeats: new Set(folds.map(({ repeat }) => repeat)).size,
    fits,
    layers: depths.map(({ table }) => table.layer),
    notes,
  }
}

/** Measures what the images ask of the network, and says which transfer strategy to try. */
export async function advise(options: AdviseOptions): Promise<AdviseResult> {
  const context = contextOf(options)
  const input = await adviceInput(options, context)
  const advice = await measure(input, {
    seed: context.seed,
    threads: options.threads ?? availableParallelism(),
    epochs: options.epochs,
    progress: context.progress,
    signal: context.signal,
  })
  const files = options.out === undefined ? undefined : await writeAdvice(advice, join(options.out, 'advice.html'))
  return { advice, html: files?.html ?? null, json: files?.json ?? null }
}

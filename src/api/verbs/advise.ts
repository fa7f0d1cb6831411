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
import { resolveBackbone } from '../../backbones/resolve.js'
import { prepareTrunk, type Trunk } from '../../backbones/trunk.js'
import { Fc7Error } from '../../base/errors.js'
import { weightsOf } from '../../embeddings/extract/prepare.js'
import { measuredPace } from '../../embeddings/store/runs.js'
import { isStore, openStore, readTable, readThumbs, type Store } from '../../embeddings/store/store.js'
import { itemsOf } from '../../evaluation/plan/items.js'
import { recipeSize } from '../../images/recipe/recipe-size.js'
import { readModel } from '../../onnx/read.js'
import { writeAdvice } from '../../report/pages/advice-page.js'
import { type CommonOptions, type Context, contextOf } from '../shared/context.js'
import { defaultModel, type SourceOptions } from '../shared/source.js'
import { type StoreChoices, storeFor } from '../shared/store-for.js'

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
  readonly trunk: Trunk
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
  const trunk = prepareTrunk(await readModel(weights.path), {
    ...resolved.card.input,
    ...recipeSize(resolved.recipe.recipe),
  })
  return { trunk, sweep: planSweep(trunk, resolved.card), classes: (await classNames(resolved.card))?.length }
}

/** A store with the default layer, earlier ones and the source classifier's scores, read as the advisor wants them. */
async function advisedDepths(
  source: string,
  choices: StoreChoices & { readonly model?: string | undefined },
  context: Context,
): Promise<AdviceInput> {
  const given = await isStore(source)
  let store: Store
  let network: Network | undefined
  if (given) {
    store = await openStore(source)
    // Depths are read off the network where it is at hand; embeddings made elsewhere have none.
    network = await networkOf(store.plan.backbone.id, store.plan.recipe?.name, context, false).catch(() => undefined)
  } else {
    network = await networkOf(choices.model ?? defaultModel, choices.recipe, context, true)
    const { layers, scores } = network.sweep
    const wanted = [...layers.map((layer) => layer.name), ...(scores === undefined ? [] : [scores])]
    store = await storeFor(source, { ...choices, layers: wanted }, context)
  }
  const names = store.plan.layers.map((layer) => layer.name)
  const scores = network?.sweep.scores
  const isScores = (layer: Store['plan']['layers'][number]): boolean =>
    scores !== undefined && layer.name === scores && (network?.classes === undefined || layer.dim === network.classes)
  const read = store.plan.layers.filter((layer) => layer.name !== scores)
  const depths: DepthTable[] = []
  for (const [i, layer] of read.entries()) {
    const planned = network?.sweep.layers.find(({ tensor }) => tensor === layer.tensor)
    depths.push({
      table: await readTable(store, layer.name),
      depth: planned?.depth ?? (i + 1) / read.length,
      ...(network && planned ? { shareAbove: shareAbove(network.trunk, planned.tensor) } : {}),
    })
  }
  depths.sort((a, b) => a.depth - b.depth)
  if (depths.length === 0)
    throw new Fc7Error(
      'LAYER_NEEDED',
      `The store ${source} holds only the classifier's scores (${names.join(', ')}).`,
      {
        hint: 'Extract with the default layer, or give the images themselves.',
      },
    )
  const scored = store.plan.layers.find(isScores)
  const last = depths.at(-1)!.table
  const thumbs = await readThumbs(store)
  const recipe = store.plan.recipe?.name ?? 'none'
  const { id, sha256 } = store.plan.backbone
  const statistics = await sourceStatistics({ backbone: id, sha256, layer: last.layer, recipe, dim: last.dim })
  const pace = await measuredPace(store.path)
  const boundary = network?.sweep.layers.at(-2)
  return {
    name: store.plan.dataset.name,
    backbone: { id, recipe },
    depths,
    ...(scored ? { scores: await readTable(store, scored.name) } : {}),
    ...(thumbs.size > 0 ? { dHashes: new Map([...thumbs].map(([key, { dHash }]) => [key, dHash])) } : {}),
    source: statistics,
    ...(network && boundary
      ? { boundary: { name: boundary.name, shareAbove: shareAbove(network.trunk, boundary.tensor) } }
      : {}),
    ...(network ? { backward: backwardOverForward(network.trunk) } : {}),
    pace,
    words: {
      severalLayers: names.length > 1,
      ...(given
        ? { images: null, model: [id], store: source }
        : {
            images: source,
            model: [choices.model ?? defaultModel, ...(choices.recipe === undefined ? [] : [choices.recipe])],
            store: resolve(store.path),
          }),
    },
  }
}

/** Embeds where needed, and says what would be measured; fits nothing. */
export async function planAdvise(options: AdviseOptions): Promise<PlannedAdvice> {
  const context = contextOf(options)
  const { depths } = await advisedDepths(options.source, options, context)
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
  const input = await advisedDepths(options.source, options, context)
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

import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { advise } from '../advisor/advise.js'
import { backwardOverForward, shareAbove } from '../advisor/evidence/cost.js'
import { planSweep, type SweepPlan } from '../advisor/evidence/depth.js'
import type { AdviceInput, DepthTable } from '../advisor/evidence/input.js'
import { sourceStatistics } from '../advisor/evidence/source-statistics.js'
import type { Advice } from '../advisor/rules/advice-file.js'
import { adviceLines } from '../advisor/rules/summary-lines.js'
import { classNames } from '../backbones/library.js'
import { resolveBackbone } from '../backbones/resolve.js'
import { prepareTrunk, type Trunk } from '../backbones/trunk.js'
import { Fc7Error } from '../base/errors.js'
import { formatSeconds } from '../base/text.js'
import { weightsOf } from '../embeddings/extract/prepare.js'
import { measuredPace } from '../embeddings/store/runs.js'
import { isStore, openStore, readTable, readThumbs, type Store } from '../embeddings/store/store.js'
import { recipeSize } from '../images/recipe/recipe-size.js'
import { readModel } from '../onnx/read.js'
import type { CommandContext } from './context.js'
import type { SourceChoices } from './extraction-options.js'
import { storeFor } from './stores.js'
import { formatTable } from './terminal.js'

type Choices = SourceChoices & { readonly threads?: number | undefined }

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
  context: CommandContext,
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
export async function advisedDepths(source: string, choices: Choices, context: CommandContext): Promise<AdviceInput> {
  const given = await isStore(source)
  let store: Store
  let network: Network | undefined
  if (given) {
    store = await openStore(source)
    // Depths are read off the network where it is at hand; embeddings made elsewhere have none.
    network = await networkOf(store.plan.backbone.id, store.plan.recipe?.name, context, false).catch(() => undefined)
  } else {
    network = await networkOf(choices.model, choices.recipe, context, true)
    const { layers, scores } = network.sweep
    const wanted = [...layers.map((layer) => layer.name), ...(scores === undefined ? [] : [scores])]
    store = await storeFor(source, { ...choices, layer: wanted }, context)
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
            model: choices.recipe === undefined ? [choices.model] : [choices.model, choices.recipe],
            store: resolve(store.path),
          }),
    },
  }
}

/** The advice and what a terminal shows of it. */
export async function adviseOn(
  input: AdviceInput,
  choices: { readonly epochs: number | undefined; readonly threads: number | undefined },
  context: CommandContext,
): Promise<{ readonly advice: Advice; readonly text: string }> {
  const advice = await advise(input, {
    seed: context.seed,
    threads: choices.threads ?? availableParallelism(),
    epochs: choices.epochs,
    progress: context.progress,
    signal: context.signal,
  })
  return { advice, text: adviceText(advice) }
}

const percent = (value: number): string => `${(100 * value).toFixed(1)} %`

/** Size and shape in one sentence. */
function dataWords({ data }: Advice): string {
  const { least, most, median } = data.perClass
  return [
    `${data.images} labelled images`,
    `${data.classes} classes`,
    least === most
      ? `${least} a class`
      : `${least} to ${most} a class (median ${median}, the largest ${(most / least).toFixed(1)} times the smallest)`,
    data.groups === 0 ? 'no groups' : `${data.groups} groups`,
    `${data.duplicates} ${data.duplicates === 1 ? 'pair' : 'pairs'} of near-duplicates`,
    ...(data.unlabelled > 0 ? [`${data.unlabelled} without a label`] : []),
  ].join(', ')
}

/** What a terminal shows: verdict first, then what it rests on. */
export function adviceText(advice: Advice): string {
  const { verdict, data, curve, probe } = advice
  const weights = verdict.evidence.map(
    ({ text, weight }) => `  ${weight > 0 ? 'for    ' : weight < 0 ? 'against' : 'neutral'}  ${text}`,
  )
  const layers = formatTable(
    ['layer', 'depth', 'accuracy', 'on its own rows', 'better than the last: p'],
    advice.layers.map((layer) => [
      layer.name,
      layer.depth.toFixed(2),
      percent(layer.accuracy),
      percent(layer.trainAccuracy),
      layer.p === null ? '–' : layer.p < 0.001 ? '< 0.001' : layer.p.toFixed(3),
    ]),
  )
  const cost = advice.cost.map(
    (row) => `  ${row.strategy.padEnd(10)}  ${formatSeconds(row.seconds).padStart(12)}  ${row.about}`,
  )
  return [
    `${verdict.headline} Confidence: ${verdict.confidence}.`,
    ...adviceLines(advice),
    ...(verdict.doubts.length > 0 ? ['', 'Not surer, because:', ...verdict.doubts.map((line) => `  ${line}`)] : []),
    '',
    `${data.name}: ${dataWords(advice)}.`,
    `Linear probe: ${percent(probe.accuracy)} ± ${percent(probe.standardError)} on held-out images, ` +
      `${percent(probe.trainAccuracy)} on its own.`,
    ...(curve.doubling === null
      ? []
      : [`Twice the images would add about ${(100 * curve.doubling).toFixed(1)} points.`]),
    '',
    layers,
    '',
    'Evidence:',
    ...weights,
    ...(verdict.wouldChange.length > 0
      ? ['', 'What would change this:', ...verdict.wouldChange.map((line) => `  ${line}`)]
      : []),
    ...(cost.length > 0 ? ['', 'Estimated on this machine:', ...cost] : []),
    ...(advice.notes.length > 0 ? ['', ...advice.notes] : []),
    '',
    `Next: ${verdict.command}`,
  ].join('\n')
}

import { join } from 'node:path'
import type { DatasetOptions } from '../../datasets/contract.js'
import type { FinetuneOptions as FinetuneSettings } from '../../finetune/plan/options.js'
import type { FinetunePlan } from '../../finetune/plan/plan.js'
import { type FinetuneRequest, type PreparedFinetune, prepareFinetune } from '../../finetune/plan/prepare.js'
import { exportTraining } from '../../finetune/result/export.js'
import type { FinetuneSummary } from '../../finetune/result/finish.js'
import { readTraining } from '../../finetune/result/record.js'
import { runFinetune } from '../../finetune/run.js'
import { previewAugmentation } from '../../finetune/train/preview.js'
import { curvesName, writeTraining } from '../../report/pages/training-page.js'
import { type CommonOptions, contextOf } from '../shared/context.js'

/** How it trains (docs/finetune.md); what is left out follows from the strategy. */
export type FinetuneChoices = { readonly [K in keyof Omit<FinetuneSettings, 'seed'>]?: FinetuneSettings[K] | undefined }

/** What every use of a training names, and how it trains. */
export interface FinetuneSource extends CommonOptions, DatasetOptions, FinetuneChoices {
  /** Labelled images. */
  readonly source: string
  /** Backbone id or ONNX file. */
  readonly model: string
  /** Preprocessing. Default: the card's first. */
  readonly recipe?: string | undefined
  readonly limit?: number | undefined
  /** Called with the plan before anything runs. */
  readonly onPlan?: ((plan: FinetunePlan) => void) | undefined
  readonly orient?: boolean | undefined
}

export interface FinetuneOptions extends FinetuneSource {
  /** Folder for the new backbone. */
  readonly out: string
  /** Name of the new backbone. Default: the folder's. */
  readonly id?: string | undefined
  /** Replaces a training in `out`. */
  readonly force?: boolean | undefined
  /** Keeps graphs and frozen activations. */
  readonly keepWork?: boolean | undefined
  readonly threads?: number | undefined
  readonly decodeThreads?: number | undefined
  /** Steps between checkpoints. Default 200. */
  readonly checkpointSteps?: number | undefined
}

export interface FinetuneResult extends FinetuneSummary {
  readonly plan: FinetunePlan
  /** The page of the training's curves. */
  readonly curves: string
}

export interface PlannedFinetune {
  readonly plan: FinetunePlan
  readonly planHash: string
}

/** Names of {@link FinetuneSource} and {@link FinetuneOptions} that are not settings of the training itself. */
const notSettings = new Set<string>([
  ...['source', 'model', 'recipe', 'limit', 'orient', 'layout', 'groupFrom', 'allowOutside', 'cacheFolder', 'offline'],
  ...['progress', 'signal', 'seed', 'out', 'id', 'force', 'keepWork', 'threads', 'decodeThreads', 'checkpointSteps'],
  'onPlan',
])

function requestOf(options: FinetuneSource): FinetuneRequest {
  const { source, model, recipe, limit, orient, layout, groupFrom, allowOutside } = options
  const { seed, ...context } = contextOf(options)
  const given = Object.entries(options).filter(([name, value]) => !notSettings.has(name) && value !== undefined)
  const settings = { ...Object.fromEntries(given), seed }
  return { source, model, recipe, limit, orient, layout, groupFrom, allowOutside, options: settings, ...context }
}

async function prepare(options: FinetuneSource): Promise<PreparedFinetune> {
  const prepared = await prepareFinetune(requestOf(options))
  options.onPlan?.(prepared.plan)
  return prepared
}

/** Looks up data and backbone, checks everything that can be wrong, and plans; trains nothing. */
export async function planFinetune(options: FinetuneSource): Promise<PlannedFinetune> {
  const { plan, planHash } = await prepare(options)
  return { plan, planHash }
}

/** Trains the network itself, or goes on where a stopped run of the same options ended. */
export async function finetune(options: FinetuneOptions): Promise<FinetuneResult> {
  const request = requestOf(options)
  const prepared = await prepare(options)
  const { out, id, force, keepWork: keepFrozen, threads, decodeThreads, checkpointSteps } = options
  const { cacheFolder } = request
  const run = { out, cacheFolder, id, force, keepFrozen, threads, decodeThreads, checkpointSteps }
  const summary = await runFinetune(prepared, request, run)
  const curves = join(out, curvesName)
  await writeTraining(await readTraining(out), curves)
  return { ...summary, plan: prepared.plan, curves }
}

/** Writes the training graphs and a manifest for another runtime; trains nothing. @returns the files' names */
export async function exportTrainingGraphs(options: FinetuneSource & { readonly out: string }): Promise<string[]> {
  return exportTraining(await prepare(options), options.out)
}

/** Writes a page of augmented images to `out` (.html); trains nothing. @returns how many images it shows */
export async function previewAugmentations(options: FinetuneSource & { readonly out: string }): Promise<number> {
  return previewAugmentation(await prepare(options), options.out)
}

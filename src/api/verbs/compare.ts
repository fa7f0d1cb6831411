import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { Fc7Error } from '../../base/errors.js'
import { groupDuplicates } from '../../evaluation/guards/group-duplicates.js'
import { comparisonOptions, type Experiment } from '../../evaluation/plan/experiment.js'
import { type ComparisonPlan, type ComparisonTable, planComparison } from '../../evaluation/plan/plan.js'
import type { Evaluation } from '../../evaluation/results/schema.js'
import { runComparison } from '../../evaluation/run.js'
import { getTrainer } from '../../trainers/registry.js'
import { comparisonProvenance, defaultTrainers } from '../shared/comparison-tables.js'
import { type CommonOptions, type Context, contextOf } from '../shared/context.js'
import {
  type CompareChoices,
  chosenExperiment,
  compareChoices,
  type ExperimentInput,
  experimentStores,
  experimentTables,
  keptExperiment,
} from '../shared/experiment.js'
import type { SourceOptions } from '../shared/source.js'

export interface CompareOptions extends CommonOptions, SourceOptions, CompareChoices {
  /**
   * Stores or images; or one experiment file (.yaml), which then says everything but `out` and the machine's limits.
   */
  readonly sources: readonly string[]
  /** Evaluation folder to write. Default: what the experiment file says. */
  readonly out?: string | undefined
  /** Folders of fine-tuned backbones: images that trained them are refused for testing. */
  readonly trainedOn?: readonly string[] | undefined
  /** Threads in all. Default: the cores. */
  readonly threads?: number | undefined
  readonly batchSize?: number | undefined
  readonly sessions?: number | undefined
  readonly decodeThreads?: number | undefined
  /** Bytes that fits may take together. Default: half of the machine's. */
  readonly memoryBytes?: number | undefined
  /** Recorded in the evaluation as the way to repeat it, beside the experiment file. */
  readonly command?: string | undefined
}

export interface CompareResult {
  readonly evaluation: Evaluation
  /** The evaluation folder. */
  readonly out: string
}

interface PreparedComparison {
  readonly experiment: Experiment
  readonly inputs: readonly ExperimentInput[]
  readonly tables: readonly ComparisonTable[]
  readonly plan: ComparisonPlan
  readonly out: string
  readonly threads: number
}

async function prepare(options: CompareOptions, context: Context): Promise<PreparedComparison> {
  const threads = options.threads ?? availableParallelism()
  const { experiment, folder } = await chosenExperiment(options.sources, compareChoices(options), {
    trainers: defaultTrainers,
    seed: context.seed,
  })
  const out = options.out ?? (experiment.out === undefined ? undefined : resolve(folder, experiment.out))
  if (out === undefined)
    throw new Fc7Error('USAGE_OUT', 'Where should the evaluation go?', { hint: 'Give a folder with --out.' })
  // A misspelt trainer should not cost an extraction.
  for (const one of experiment.trainers) getTrainer(typeof one === 'string' ? one : one.id)
  const inputs = await experimentStores(experiment, folder, options, context)
  let tables = await experimentTables(inputs, options.trainedOn ?? [])
  if (experiment['group-duplicates']) {
    const grouped = await groupDuplicates(tables, { threads, signal: context.signal })
    tables = grouped.tables
    context.progress.say(`${grouped.images} near-duplicate images are kept together.`)
  }
  return {
    experiment,
    inputs,
    tables,
    plan: planComparison({ ...comparisonOptions(experiment), tables }),
    out,
    threads,
  }
}

/** What the user should know about positive classes before anything is fitted. */
export function positiveClassLines({ datasets }: ComparisonPlan): string[] {
  return datasets.flatMap(({ name, positive, classes }) => {
    if (positive?.source === 'inferred')
      return [`${name}: "${positive.label}" is taken as the positive class (--positive names another).`]
    if (positive === null && classes.length === 2)
      return [
        `${name}: neither "${classes[0]}" nor "${classes[1]}" is known to be the positive class; --positive ` +
          'gives sensitivity and specificity.',
      ]
    return []
  })
}

/** Embeds where needed, and plans folds and fits; fits nothing. */
export async function planCompare(options: CompareOptions): Promise<ComparisonPlan> {
  return (await prepare(options, contextOf(options))).plan
}

/** Compares trainers, layers and backbones fairly, and writes the evaluation. */
export async function compare(options: CompareOptions): Promise<CompareResult> {
  const context = contextOf(options)
  const { experiment, inputs, tables, plan, out, threads } = await prepare(options, context)
  for (const line of positiveClassLines(plan)) context.progress.say(line)
  const evaluation = await runComparison(plan, {
    tables,
    out,
    threads,
    memoryBytes: options.memoryBytes,
    provenance: comparisonProvenance(options.command ?? null, keptExperiment(experiment, inputs, out)),
    signal: context.signal,
    progress: context.progress,
  })
  return { evaluation, out }
}

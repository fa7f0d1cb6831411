import { readFile, stat } from 'node:fs/promises'
import { relative, resolve } from 'node:path'
import { Fc7Error } from '../../base/errors.js'
import { isStore, type Store } from '../../embeddings/store/store.js'
import { readTrainedOn, type TrainedOn, trainedOnIds } from '../../evaluation/guards/trained-on.js'
import { parseOperatingRule } from '../../evaluation/metrics/operating-point.js'
import {
  type Experiment,
  type ExperimentSource,
  experimentText,
  maxExperimentBytes,
  parseExperiment,
} from '../../evaluation/plan/experiment.js'
import type { ComparisonTable } from '../../evaluation/plan/plan.js'
import { comparisonTables, shortlyNamed } from './comparison-tables.js'
import type { Context } from './context.js'
import { type StoreChoices, storeFor } from './store-for.js'

/** How trainers are compared, where no experiment file says it. */
export interface CompareChoices {
  /** Ids, as a list or with commas between them. Default: those that `fc7 compare --help` names. */
  readonly trainers?: string | readonly string[] | undefined
  readonly protocol?: Experiment['protocol'] | undefined
  readonly folds?: number | undefined
  readonly repeats?: number | undefined
  readonly holdout?: Experiment['holdout'] | undefined
  readonly perClass?: number | undefined
  readonly draws?: number | undefined
  readonly testPerClass?: number | undefined
  readonly metric?: Experiment['metric'] | undefined
  readonly positive?: string | undefined
  readonly operating?: string | undefined
  readonly curve?: boolean | undefined
  readonly tune?: boolean | undefined
  readonly search?: 'grid' | 'random' | undefined
  readonly candidates?: number | undefined
  readonly innerFolds?: number | undefined
  readonly groupDuplicates?: boolean | undefined
}

/** The choices alone, out of an object that holds more. */
export const compareChoices = (options: CompareChoices): CompareChoices => {
  const { trainers, protocol, folds, repeats, holdout, perClass, draws, testPerClass, metric } = options
  const { positive, operating, curve, tune, search, candidates, innerFolds, groupDuplicates } = options
  return {
    ...{ trainers, protocol, folds, repeats, holdout, perClass, draws, testPerClass, metric },
    ...{ positive, operating, curve, tune, search, candidates, innerFolds, groupDuplicates },
  }
}

const isExperimentFile = (path: string): boolean => /\.ya?ml$/i.test(path)

/** The experiment that a command line amounts to; one file can say the same. @throws Fc7Error USAGE_OPERATING */
export function experimentOf(
  sources: readonly string[],
  choices: CompareChoices,
  defaults: { readonly trainers: readonly string[]; readonly seed: number },
): Experiment {
  const { search, candidates, innerFolds } = choices
  const { trainers } = choices
  const wanted = (typeof trainers === 'string' ? trainers.split(',').map((id) => id.trim()) : trainers)?.filter(Boolean)
  const tune =
    search === undefined && candidates === undefined && innerFolds === undefined
      ? choices.tune
      : { search, candidates, 'inner-folds': innerFolds }
  const given = {
    protocol: choices.protocol,
    folds: choices.folds,
    repeats: choices.repeats,
    holdout: choices.holdout,
    'per-class': choices.perClass,
    draws: choices.draws,
    'test-per-class': choices.testPerClass,
    metric: choices.metric,
    positive: choices.positive,
    operating: choices.operating === undefined ? undefined : parseOperatingRule(choices.operating),
    curve: choices.curve || undefined,
    tune: tune || undefined,
    'group-duplicates': choices.groupDuplicates || undefined,
  }
  return {
    format: 1,
    sources: [...sources],
    trainers: wanted ?? [...defaults.trainers],
    seed: defaults.seed,
    ...(Object.fromEntries(Object.entries(given).filter(([, one]) => one !== undefined)) as Partial<Experiment>),
  }
}

/**
 * The experiment of a command: read where the one source is a YAML file, else made of the options.
 *
 * @returns the experiment and the folder that its paths start from
 * @throws Fc7Error USAGE_EXPERIMENT when both say something, EXPERIMENT_BROKEN, FILE_UNREADABLE
 */
export async function chosenExperiment(
  sources: readonly string[],
  choices: CompareChoices,
  defaults: { readonly trainers: readonly string[]; readonly seed: number },
): Promise<{ readonly experiment: Experiment; readonly folder: string }> {
  const file = sources.find(isExperimentFile)
  if (file === undefined) return { experiment: experimentOf(sources, choices, defaults), folder: '.' }
  const given = Object.entries(choices).filter(([, one]) => one !== undefined && one !== false)
  if (sources.length > 1 || given.length > 0)
    throw new Fc7Error(
      'USAGE_EXPERIMENT',
      `${file} says what to compare; other sources or settings beside it would contradict it.`,
      {
        hint:
          'Write them into the file. Beside it stand only --out, --threads, --memory and --dry-run' +
          `${given.length > 0 ? `, not --${given[0]![0]}` : ''}.`,
      },
    )
  const found = await stat(file).catch(() => undefined)
  if (!found?.isFile())
    throw new Fc7Error('FILE_UNREADABLE', `There is no experiment file at ${file}.`, { hint: 'Check the path.' })
  if (found.size > maxExperimentBytes)
    throw new Fc7Error('EXPERIMENT_BROKEN', `${file} is no experiment: it is larger than 1 MiB.`, {
      hint: 'docs/evaluation.md shows a whole experiment file.',
    })
  return { experiment: parseExperiment(await readFile(file, 'utf8'), file), folder: resolve(file, '..') }
}

export interface ExperimentInput {
  readonly store: Store
  readonly layers?: readonly string[] | undefined
}

/** Opens or makes the store of every source. @throws Fc7Error EXPERIMENT_STORE when a file names another store */
export async function experimentStores(
  experiment: Experiment,
  folder: string,
  choices: StoreChoices & { readonly model?: string | undefined },
  context: Context,
): Promise<ExperimentInput[]> {
  const inputs: ExperimentInput[] = []
  for (const source of experiment.sources) {
    const one: ExperimentSource = typeof source === 'string' ? { path: source } : source
    const path = folder === '.' ? one.path : resolve(folder, one.path)
    const layers = one.layers ?? choices.layers
    const store = await storeFor(
      path,
      {
        ...choices,
        layers,
        model: one.model ?? choices.model,
        recipe: one.recipe ?? choices.recipe,
      },
      context,
    )
    if (one.store !== undefined && one.store !== store.planHash)
      throw new Fc7Error('EXPERIMENT_STORE', `${path} is not the store that the experiment was made with.`, {
        hint:
          'Its images, backbone or recipe differ. Take the `store:` line out of the file to compare on it all the ' +
          'same.',
      })
    inputs.push({ store, layers: (await isStore(path)) ? layers : undefined })
  }
  return inputs
}

/** Tables of every store, with the images marked that its backbone was fine-tuned on. */
export async function experimentTables(
  inputs: readonly ExperimentInput[],
  trainedOn: readonly string[],
): Promise<ComparisonTable[]> {
  const given: TrainedOn[] = []
  for (const path of trainedOn) {
    const list = await readTrainedOn(path)
    if (!list)
      throw new Fc7Error('FILE_UNREADABLE', `There is no trained-on.json in ${path}.`, {
        hint: 'Give the folder that `fc7 finetune` wrote, or the file itself.',
      })
    given.push(list)
  }
  const tables: ComparisonTable[] = []
  for (const { store, layers } of inputs) {
    const own = await readTrainedOn(store.path)
    const ids = await trainedOnIds(store, own ? [...given, own] : given)
    for (const table of await comparisonTables(store, layers))
      tables.push(ids.size > 0 ? { ...table, trainedOn: ids } : table)
  }
  return shortlyNamed(tables)
}

/** The experiment file to keep with an evaluation in `out`: stores by identity, paths from there. */
export function keptExperiment(experiment: Experiment, inputs: readonly ExperimentInput[], out: string): string {
  const { out: _, ...rest } = experiment
  return experimentText({
    ...rest,
    sources: inputs.map(({ store, layers }) => ({
      path: relative(resolve(out), resolve(store.path)) || '.',
      store: store.planHash,
      ...(layers ? { layers: [...layers] } : {}),
    })),
  })
}

import { stat } from 'node:fs/promises'
import type { Table } from 'apache-arrow'
import { Fc7Error, messageOf } from '../../base/errors.js'
import { readIfPresent, readJson } from '../../base/files.js'
import { decodeArrow, textValues } from '../../embeddings/store/arrow.js'
import { evaluationPath, int32Values, itemsPath, planPath, predictionsPath, scoreValues } from '../fit/fit-files.js'
import { type Evaluation, evaluationSchema } from './schema.js'

/** The images of a data set; item numbers are places in these arrays. */
export interface EvaluatedItems {
  readonly ids: readonly string[]
  readonly paths: readonly string[]
  readonly labels: readonly string[]
  readonly splits: readonly (string | null)[]
  readonly groups: readonly (string | null)[]
  /** Index into the data set's classes. */
  readonly y: Int32Array
}

/** Main test predictions of one result; all arrays are `[predictions]`. */
export interface Predictions {
  readonly table: string
  readonly trainer: string
  readonly item: Int32Array
  readonly repeat: Int32Array
  readonly fold: Int32Array
  readonly truth: Int32Array
  readonly predicted: Int32Array
  /** `[predictions, classes]`. */
  readonly scores: Float32Array
}

/** A finished evaluation with its single predictions. */
export interface LoadedEvaluation {
  readonly folder: string
  readonly evaluation: Evaluation
  /** By data set key. */
  readonly items: ReadonlyMap<string, EvaluatedItems>
  /** In the order of `evaluation.results`. */
  readonly predictions: readonly Predictions[]
}

const broken = (path: string, reason: string): Fc7Error =>
  new Fc7Error('EVALUATION_BROKEN', `${path} is damaged: ${reason}.`, {
    hint: 'Run the same `fc7 compare` again; finished fits are not repeated.',
  })

async function readArrow(path: string, plan: string): Promise<Table> {
  const bytes = await readIfPresent(path)
  if (!bytes) throw broken(path, 'it is missing')
  let table: Table
  try {
    table = decodeArrow(bytes)
  } catch (error) {
    throw broken(path, messageOf(error))
  }
  if (table.schema.metadata.get('fc7.plan') !== plan) throw broken(path, 'it belongs to another comparison')
  return table
}

/**
 * Reads an evaluation folder: `evaluation.json`, the images and every out-of-fold prediction.
 *
 * @throws Fc7Error EVALUATION_MISSING, EVALUATION_UNFINISHED, EVALUATION_BROKEN
 */
export async function loadEvaluation(folder: string): Promise<LoadedEvaluation> {
  const evaluation = await readEvaluation(folder)
  const items = new Map<string, EvaluatedItems>()
  const tables = new Map<string, Table>()
  for (const { key } of evaluation.datasets) {
    const table = await readArrow(itemsPath(folder, key), evaluation.plan)
    items.set(key, {
      ids: textValues(table, 'id').map((value) => value ?? ''),
      paths: textValues(table, 'path').map((value) => value ?? ''),
      labels: textValues(table, 'label').map((value) => value ?? ''),
      splits: textValues(table, 'split'),
      groups: textValues(table, 'group'),
      y: int32Values(table, 'y'),
    })
    tables.set(key, await readArrow(predictionsPath(folder, key), evaluation.plan))
  }
  return { folder, evaluation, items, predictions: split(evaluation, tables, folder) }
}

/** Cuts the predictions of each data set into those of its results. */
function split(evaluation: Evaluation, tables: ReadonlyMap<string, Table>, folder: string): Predictions[] {
  const columns = new Map(
    [...tables].map(([key, table]) => [
      key,
      {
        table: textValues(table, 'table'),
        trainer: textValues(table, 'trainer'),
        item: int32Values(table, 'item'),
        repeat: int32Values(table, 'repeat'),
        fold: int32Values(table, 'fold'),
        truth: int32Values(table, 'truth'),
        predicted: int32Values(table, 'predicted'),
        scores: scoreValues(table),
      },
    ]),
  )
  return evaluation.results.map((result) => {
    const own = columns.get(result.dataset)
    const from = own?.table.findIndex((table, i) => table === result.table && own.trainer[i] === result.trainer) ?? -1
    if (!own || from < 0 || from + result.predictions > own.item.length)
      throw broken(predictionsPath(folder, result.dataset), `the predictions of ${result.title} are missing`)
    const to = from + result.predictions
    const classes = evaluation.datasets.find((dataset) => dataset.key === result.dataset)!.classes.length
    return {
      table: result.table,
      trainer: result.trainer,
      item: own.item.subarray(from, to),
      repeat: own.repeat.subarray(from, to),
      fold: own.fold.subarray(from, to),
      truth: own.truth.subarray(from, to),
      predicted: own.predicted.subarray(from, to),
      scores: own.scores.subarray(from * classes, to * classes),
    }
  })
}

/** `evaluation.json` alone, checked. @throws as {@link loadEvaluation} */
export async function readEvaluation(folder: string): Promise<Evaluation> {
  const path = evaluationPath(folder)
  const there = await stat(path).catch(() => null)
  if (!there) {
    const begun = await stat(planPath(folder)).catch(() => null)
    if (begun)
      throw new Fc7Error('EVALUATION_UNFINISHED', `The evaluation in ${folder} is not finished.`, {
        hint: 'Run the same `fc7 compare` again; finished fits are not repeated.',
      })
    throw new Fc7Error('EVALUATION_MISSING', `There is no evaluation in ${folder}.`, {
      hint: 'Make one with `fc7 compare <store> --out <folder>`.',
    })
  }
  const parsed = evaluationSchema.safeParse(await readJson(path, 'The evaluation', 512 << 20))
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw broken(path, `${issue?.path.join('.') ?? ''} ${issue?.message ?? 'not an evaluation'}`.trim())
}

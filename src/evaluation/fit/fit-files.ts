import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Data,
  Field,
  FixedSizeList,
  Float32,
  Int32,
  makeData,
  RecordBatch,
  RecordBatchFileWriter,
  Schema,
  Struct,
  Table,
} from 'apache-arrow'
import { z } from 'zod'
import { Fc7Error, systemCode } from '../../base/errors.js'
import { isTemporaryName, readIfPresent, sha256, writeFileAtomic, writeJsonAtomic } from '../../base/files.js'
import { decodeArrow } from '../../embeddings/store/arrow.js'
import type { ComparisonPlan } from '../plan/plan.js'
import { planText } from '../plan/plan.js'
import type { FitResult } from './fit-job.js'

export const planPath = (folder: string): string => join(folder, 'plan.json')
export const evaluationPath = (folder: string): string => join(folder, 'evaluation.json')
export const experimentPath = (folder: string): string => join(folder, 'experiment.yaml')
export const predictionsPath = (folder: string, dataset: string): string => join(folder, `predictions-${dataset}.arrow`)
export const itemsPath = (folder: string, dataset: string): string => join(folder, `items-${dataset}.arrow`)
export const fitsFolder = (folder: string): string => join(folder, 'fits')
const factsPath = (folder: string, id: string): string => join(fitsFolder(folder), `${id}.json`)
const scoresPath = (folder: string, id: string): string => join(fitsFolder(folder), `${id}.arrow`)

const value = z.union([z.number(), z.string(), z.boolean()])
const params = z.array(z.tuple([z.string(), value]))
const milliseconds = z.number().min(0)

/** `fits/<id>.json`: written after its Arrow file, so a fit that has a valid one is finished. */
export const fitSchema = z.strictObject({
  format: z.literal(1),
  plan: z.string(),
  id: z.string(),
  /** sha256 of the Arrow file beside it. */
  sha256: z.string(),
  rows: z.int().min(0),
  scoreKind: z.enum(['probability', 'decision']),
  trainRows: z.int().min(1),
  params,
  trials: z.array(z.strictObject({ params, scores: z.array(z.number().nullable()), mean: z.number().nullable() })),
  /**
   * Score of the positive class from which the fit's operating rule calls an image positive; null: its own decision.
   */
  threshold: z.number().nullable(),
  fitMs: milliseconds,
  tuneMs: milliseconds,
  predictMs: milliseconds,
  modelBytes: z.int().min(0),
  /**
   * Growth of the process's memory at its highest while the fit ran; null where other fits ran beside it and would be
   * counted.
   */
  peakMemoryBytes: z.number().min(0).nullable(),
  facts: z.array(z.tuple([z.string(), z.union([z.number(), z.string()])])),
})
export type FitFacts = z.infer<typeof fitSchema>

/** A finished fit as it was kept. */
export interface KeptFit {
  readonly facts: FitFacts
  /** Item numbers tested. */
  readonly items: Int32Array
  readonly predicted: Int32Array
  /** `[items, classes]`. */
  readonly scores: Float32Array
}

/** One Arrow IPC file of one batch. */
export function encodeColumns(
  columns: readonly (readonly [string, Data])[],
  rows: number,
  metadata: Map<string, string>,
): Uint8Array {
  const fields = columns.map(([name, data]) => new Field(name, data.type, data.nullCount > 0))
  const schema = new Schema(fields, metadata)
  const children = columns.map(([, data]) => data)
  const batch = new RecordBatch(schema, makeData({ type: new Struct(fields), length: rows, nullCount: 0, children }))
  return RecordBatchFileWriter.writeAll(new Table(schema, [batch])).toUint8Array(true)
}

export const int32Column = (values: Int32Array): Data =>
  makeData({ type: new Int32(), length: values.length, nullCount: 0, data: values })

/** `[rows, width]` float32 as a list column. */
export const scoresColumn = (values: Float32Array, rows: number, width: number): Data =>
  makeData({
    type: new FixedSizeList(width, new Field('item', new Float32(), false)),
    length: rows,
    nullCount: 0,
    child: makeData({ type: new Float32(), length: rows * width, nullCount: 0, data: values }) as never,
  })

/** Integers and floats of an Arrow table as one typed array, batches joined. */
export function int32Values(table: Table, name: string): Int32Array {
  return Int32Array.from((table.getChild(name)?.toArray() ?? []) as Int32Array)
}
export function scoreValues(table: Table): Float32Array {
  const vector = table.getChild('scores')
  const width = (vector?.type as FixedSizeList | undefined)?.listSize ?? 0
  const out = new Float32Array(table.numRows * width)
  let at = 0
  for (const data of vector?.data ?? []) {
    const values = (data.children[0]!.values as Float32Array).subarray(
      data.offset * width,
      (data.offset + data.length) * width,
    )
    out.set(values, at)
    at += values.length
  }
  return out
}

/**
 * Makes the folder an evaluation of this plan: writes `plan.json` into an empty or new folder, or finds the very same
 * plan there and resumes.
 *
 * @returns true when the plan was there already
 * @throws Fc7Error OUT_TAKEN when the folder holds something else, OUT_OTHER_PLAN when it is another comparison
 */
export async function openEvaluationFolder(folder: string, plan: ComparisonPlan): Promise<boolean> {
  const { text } = planText(plan)
  const names = await readdir(folder).catch((error) => {
    if (systemCode(error) === 'ENOENT') return [] as string[]
    if (systemCode(error) === 'ENOTDIR')
      throw new Fc7Error('OUT_TAKEN', `${folder} is a file, not a folder.`, { hint: 'Choose another --out.' })
    throw error
  })
  const present = names.includes('plan.json') ? await readIfPresent(planPath(folder)) : undefined
  if (present) {
    if (present.toString('utf8') === text) return true
    const ours = names.includes('fits') || names.includes('evaluation.json')
    throw new Fc7Error(
      ours ? 'OUT_OTHER_PLAN' : 'OUT_TAKEN',
      ours ? `${folder} holds another comparison.` : `${folder} holds something that is no evaluation.`,
      { hint: 'Choose another --out, or repeat the command with the settings, stores and seed it was made with.' },
    )
  }
  if (names.some((name) => !name.endsWith('.tmp')))
    throw new Fc7Error('OUT_TAKEN', `${folder} is not empty and holds no evaluation.`, {
      hint: 'Choose another --out.',
    })
  await mkdir(fitsFolder(folder), { recursive: true })
  await writeFileAtomic(planPath(folder), text)
  return false
}

/** Removes what killed runs left under temporary names; the evaluation is whole by then and needs none of it. */
export async function sweepEvaluation(folder: string): Promise<void> {
  for (const within of [folder, fitsFolder(folder)])
    for (const name of await readdir(within)) if (isTemporaryName(name)) await rm(join(within, name), { force: true })
}

/** Keeps a finished fit: its Arrow file first, then the facts that make it count. */
export async function keepFit(
  folder: string,
  planHash: string,
  id: string,
  result: FitResult & { readonly peakMemoryBytes: number | null; readonly trainRows: number },
  items: Int32Array,
  classes: number,
): Promise<KeptFit> {
  const bytes = encodeColumns(
    [
      ['item', int32Column(items)],
      ['predicted', int32Column(result.predicted)],
      ['scores', scoresColumn(result.scores, items.length, classes)],
    ],
    items.length,
    new Map([
      ['fc7.plan', planHash],
      ['fc7.fit', id],
    ]),
  )
  const facts: FitFacts = {
    format: 1,
    plan: planHash,
    id,
    sha256: sha256(bytes),
    rows: items.length,
    scoreKind: result.scoreKind,
    trainRows: result.trainRows,
    params: result.params.map(([name, one]) => [name, one]),
    trials: result.trials.map((trial) => ({
      params: trial.params.map(([name, one]) => [name, one]),
      scores: [...trial.scores],
      mean: trial.mean,
    })),
    threshold: result.threshold,
    fitMs: result.fitMs,
    tuneMs: result.tuneMs,
    predictMs: result.predictMs,
    modelBytes: result.modelBytes,
    peakMemoryBytes: result.peakMemoryBytes,
    facts: Object.entries(result.facts),
  }
  await writeFileAtomic(scoresPath(folder, id), bytes)
  await writeJsonAtomic(factsPath(folder, id), facts)
  return { facts, items, predicted: result.predicted, scores: result.scores }
}

/** A fit that is finished and whole, or undefined: then it is done again. */
export async function readFit(folder: string, planHash: string, id: string): Promise<KeptFit | undefined> {
  const text = await readIfPresent(factsPath(folder, id))
  const bytes = text ? await readIfPresent(scoresPath(folder, id)) : undefined
  if (!text || !bytes) return undefined
  try {
    const facts = fitSchema.parse(JSON.parse(text.toString('utf8')))
    if (facts.plan !== planHash || facts.id !== id || facts.sha256 !== sha256(bytes)) return undefined
    const table = decodeArrow(bytes)
    return {
      facts,
      items: int32Values(table, 'item'),
      predicted: int32Values(table, 'predicted'),
      scores: scoreValues(table),
    }
  } catch {
    // Damaged: as good as missing.
    return undefined
  }
}

import { readFile } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { Fc7Error, messageOf } from '../../base/errors.js'
import { sha256, sha256File } from '../../base/files.js'
import { counted } from '../../base/text.js'
import { commitShard, type FinishedBatch, type FinishedUnit } from '../store/commit.js'
import { finishStore, prepareOut } from '../store/finish.js'
import type { Manifest } from '../store/layout.js'
import { type ExtractionPlan, encodePlan, planExtraction, shardRange } from '../store/plan.js'
import { imageId } from '../store/views.js'
import { type ForeignMatrix, type IndexRow, importError } from './contract.js'
import { parseCsv } from './csv.js'
import { indexOfRecords, viewOf } from './index-rows.js'
import { importers } from './registry.js'

export interface ImportOptions {
  readonly out: string
  /** CSV with a line a row: `label`, or id, path, label, split, group, view by name. */
  readonly labels?: string | undefined
  /** What the embeddings are called where a backbone would be named. Default the file's name. */
  readonly name?: string | undefined
  readonly force?: boolean | undefined
}

type Index = readonly IndexRow[] | undefined

const layerName = 'imported'

/** @throws Fc7Error IMPORT_BAD, USAGE_IMPORT */
async function openMatrix(path: string): Promise<ForeignMatrix> {
  const importer = importers[extname(path).toLowerCase()]
  if (!importer)
    throw new Fc7Error('USAGE_IMPORT', `${path} is not a .npy, .parquet or .csv file.`, {
      hint: 'Export it to one of these.',
    })
  try {
    return await importer(path)
  } catch (error) {
    if (error instanceof Fc7Error) throw error
    throw importError(path, messageOf(error), 'Is the file there, and whole?')
  }
}

/** What the matrix says of its rows, overridden by the columns of `labels`. */
async function readIndex(path: string, matrix: ForeignMatrix, labels: string | undefined): Promise<Index> {
  if (!labels) return matrix.index
  const [header = [], ...records] = parseCsv(await readFile(labels, 'utf8'))
  if (records.length !== matrix.rows)
    throw importError(
      labels,
      `it has ${counted(records.length, 'row')}, ${path} has ${matrix.rows}`,
      'It needs a header line, then a line for each row.',
    )
  const given = indexOfRecords(header.includes('label') || header.length > 1 ? header : ['label'], records)
  return given.map((row, i) => ({ ...matrix.index?.[i], ...row }))
}

async function planImport(path: string, name: string, matrix: ForeignMatrix, index: Index): Promise<ExtractionPlan> {
  const { rows, dim } = matrix
  const fingerprint = sha256(JSON.stringify([rows, dim, index ?? null]))
  return planExtraction({
    dataset: { name: basename(path), items: rows, fingerprint },
    backbone: { id: name, sha256: await sha256File(path) },
    layers: [{ name: layerName, tensor: layerName, dim }],
    pool: 'none',
    recipe: null,
    provider: 'none',
    thumbs: false,
  })
}

function unitOfRow(path: string, row: IndexRow | undefined, number: number): FinishedUnit {
  const view = viewOf(path, row, number)
  const id = row?.id ?? String(number)
  const item = {
    id: imageId(id, view),
    path: row?.path ?? id,
    label: row?.label ?? null,
    split: row?.split ?? null,
    group: row?.group ?? null,
    source: null,
  }
  return { item, view, first: true, last: true, decoded: { ok: true, sha256: '' } }
}

/** Rows `start` to `end` in the form of a batch that the network ran. */
async function batchOfRows(
  path: string,
  matrix: ForeignMatrix,
  index: Index,
  { start, end }: { readonly start: number; readonly end: number },
): Promise<FinishedBatch> {
  const data = (await matrix.read(start, end)) as Float32Array<ArrayBuffer>
  const items = Array.from({ length: end - start }, (_, i) => unitOfRow(path, index?.[start + i], start + i))
  const output = { name: `layer:${layerName}`, dims: [end - start, matrix.dim], data }
  return { items, result: { outputs: [output], milliseconds: 0 } }
}

/**
 * Makes a store of embeddings that were computed elsewhere, so that every later command takes them. Reads `.npy`
 * (float32 or float64 matrix), `.parquet` (a list column and optional id, path, label, split, group, view) and `.csv`.
 *
 * @throws Fc7Error IMPORT_BAD, USAGE_IMPORT
 */
export async function importEmbeddings(path: string, options: ImportOptions): Promise<Manifest> {
  const { out } = options
  const matrix = await openMatrix(path)
  const index = await readIndex(path, matrix, options.labels)
  const plan = await planImport(path, options.name ?? basename(path), matrix, index)
  await prepareOut(out, plan, options.force ?? false)
  const { hash: planHash } = encodePlan(plan)
  for (let shard = 0; shard < plan.shards.length; shard++) {
    const batch = await batchOfRows(path, matrix, index, shardRange(plan, shard))
    await commitShard({ out, plan, planHash, shard, batches: [batch] })
  }
  return (await finishStore(out, plan, planHash))!
}

import { access, readFile } from 'node:fs/promises'
import type { Table } from 'apache-arrow'
import { Fc7Error } from '../../base/errors.js'
import { sha256, writeFileAtomic, writeJsonAtomic } from '../../base/files.js'
import type { RunResult } from '../../runtime/inference-requests.js'
import { decodeArrow, encodeShard, encodeThumbs, textValues } from './arrow.js'
import type { Decoded, ExtractionItem } from './job.js'
import { type Commit, commitPath, type Failure, shardPath, thumbsPath } from './layout.js'
import { type ExtractionPlan, shardRange } from './plan.js'
import { readCommit } from './store.js'
import { rowId, type Unit } from './views.js'

/** A unit whose image was decoded, or could not be. */
export interface FinishedUnit extends Unit {
  readonly decoded: Decoded
}

export interface FinishedBatch {
  readonly items: readonly FinishedUnit[]
  readonly result: RunResult
}

/** A row of the shard: the mean of its units, which follow each other. Without test views there is one. */
interface Row {
  readonly unit: FinishedUnit
  readonly decoded: Decoded & { ok: true }
  readonly units: number
}

/** What the batches of a shard became. */
interface ShardRows {
  readonly batches: readonly FinishedBatch[]
  readonly rows: readonly Row[]
  /** Images that failed in one of their units: they have no row. */
  readonly failed: ReadonlyMap<ExtractionItem, Failure>
}

function shardRows(batches: readonly FinishedBatch[]): ShardRows {
  const all = batches.flatMap((batch) => batch.items)
  const failed = new Map<ExtractionItem, Failure>()
  for (const { item, decoded } of all)
    if (!decoded.ok && !failed.has(item))
      failed.set(item, { id: item.id, path: item.path, code: decoded.code, message: decoded.message })
  const rows: (Row & { units: number })[] = []
  for (const unit of all) {
    if (failed.has(unit.item) || !unit.decoded.ok) continue
    const previous = rows.at(-1)
    if (previous && previous.unit.item === unit.item && previous.unit.view === unit.view) previous.units++
    else rows.push({ unit, decoded: unit.decoded, units: 1 })
  }
  return { batches, rows, failed }
}

/** `[rows, dim]`: each row's value of a layer, the mean where it has several units (float64, in their order). */
function layerRows({ batches, rows, failed }: ShardRows, name: string, dim: number): Float32Array {
  const values = new Float32Array(rows.length * dim)
  const sum = new Float64Array(dim)
  let row = 0
  let taken = 0
  for (const { items, result } of batches) {
    const output = result.outputs.find((candidate) => candidate.name === `layer:${name}`)
    items.forEach((unit, i) => {
      if (failed.has(unit.item)) return
      if (!output)
        throw new Fc7Error('GRAPH_OUTPUT', `The extraction graph gave no output for layer "${name}".`, {
          hint: 'This is a defect of fc7.',
        })
      const own = output.data.subarray(i * dim, (i + 1) * dim)
      const { units } = rows[row]!
      if (units === 1) values.set(own, row++ * dim)
      else {
        for (let k = 0; k < dim; k++) sum[k] = (taken === 0 ? 0 : sum[k]!) + own[k]!
        if (++taken < units) return
        for (let k = 0; k < dim; k++) values[row * dim + k] = sum[k]! / units
        row++
        taken = 0
      }
    })
  }
  return values
}

function countInOrder(values: readonly (string | null)[]): [string | null, number][] {
  const counts = new Map<string | null, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts]
}

/** The shard's Arrow file. */
function shardBytes(contents: ShardRows, plan: ExtractionPlan, planHash: string): Uint8Array {
  const { rows } = contents
  const columns = {
    ids: rows.map(({ unit }) => rowId(unit.item.id, unit.view)),
    paths: rows.map(({ unit }) => unit.item.path),
    labels: rows.map(({ unit }) => unit.item.label),
    splits: rows.map(({ unit }) => unit.item.split),
    // Readers that know nothing of views must not divide an image from them.
    groups: rows.map(({ unit }) => unit.item.group ?? (plan.views > 1 ? unit.item.id : null)),
    views: Uint16Array.from(rows, ({ unit }) => unit.view),
    hashes: rows.map(({ decoded }) => decoded.sha256),
    layers: plan.layers.map(({ name, dim }) => ({ name, dim, values: layerRows(contents, name, dim) })),
  }
  return encodeShard(columns, planHash, plan.precision)
}

/** The thumbnails' Arrow file: one row an image, none for its views. */
function thumbsBytes({ rows }: ShardRows, planHash: string): Uint8Array {
  const shown = rows
    .filter(({ unit }) => unit.view === 0)
    .map(({ unit, decoded }) => ({
      id: unit.item.id,
      webp: decoded.webp ?? new Uint8Array(0),
      dHash: decoded.dHash ?? '',
    }))
  return encodeThumbs(shown, planHash)
}

/** A shard whose batches are all computed. */
export interface FinishedShard {
  readonly out: string
  readonly plan: ExtractionPlan
  readonly planHash: string
  readonly shard: number
  readonly batches: readonly FinishedBatch[]
}

/**
 * Writes a shard: thumbnails, then the Arrow file, then the commit file that makes it done. Each has its final name
 * only once it is whole.
 */
export async function commitShard({ out, plan, planHash, shard, batches }: FinishedShard): Promise<void> {
  const contents = shardRows(batches)
  const { rows, failed } = contents
  const bytes = shardBytes(contents, plan, planHash)
  let thumbs: string | null = null
  if (plan.thumbs) {
    const thumbBytes = thumbsBytes(contents, planHash)
    thumbs = sha256(thumbBytes)
    await writeFileAtomic(thumbsPath(out, shard), thumbBytes)
  }
  await writeFileAtomic(shardPath(out, shard), bytes)
  const commit: Commit = {
    plan: planHash,
    rows: rows.length,
    failures: [...failed.values()],
    sha256: sha256(bytes),
    thumbs,
    labels: countInOrder(rows.map(({ unit }) => unit.item.label)),
    splits: countInOrder(rows.map(({ unit }) => unit.item.split)),
  }
  await writeJsonAtomic(commitPath(out, shard), commit)
}

/** Rows that are images themselves. */
function images(table: Table): number {
  const view = table.getChild('view')
  let count = 0
  for (let row = 0; row < table.numRows; row++) if (Number(view?.get(row) ?? 0) === 0) count++
  return count
}

/**
 * The commit of a shard that is done, or undefined. A whole Arrow file whose process died before the commit is adopted:
 * it must be of this plan and hold every image (with fewer, the failures are not known, and it is computed again).
 */
export async function shardState(
  out: string,
  plan: ExtractionPlan,
  planHash: string,
  i: number,
): Promise<Commit | undefined> {
  const commit = await readCommit(out, i, planHash)
  const path = shardPath(out, i)
  if (commit) {
    return access(path).then(
      () => commit,
      () => undefined,
    )
  }
  try {
    const bytes = await readFile(path)
    const table = decodeArrow(bytes)
    const { start, end } = shardRange(plan, i)
    if (table.schema.metadata.get('fc7.plan') !== planHash || images(table) !== end - start) return undefined
    let thumbs: string | null = null
    if (plan.thumbs) {
      const thumbBytes = await readFile(thumbsPath(out, i))
      const thumbTable = decodeArrow(thumbBytes)
      if (thumbTable.schema.metadata.get('fc7.plan') !== planHash || thumbTable.numRows !== end - start)
        return undefined
      thumbs = sha256(thumbBytes)
    }
    const adopted: Commit = {
      plan: planHash,
      rows: table.numRows,
      failures: [],
      sha256: sha256(bytes),
      thumbs,
      labels: countInOrder(textValues(table, 'label')),
      splits: countInOrder(textValues(table, 'split')),
    }
    await writeJsonAtomic(commitPath(out, i), adopted)
    return adopted
  } catch {
    return undefined
  }
}

/** Which shards of a plan are done in a folder; none where the folder holds something else. */
export async function planStatus(out: string, plan: ExtractionPlan, planHash: string): Promise<number[]> {
  const commits = await Promise.all(plan.shards.map((_, i) => readCommit(out, i, planHash)))
  return plan.shards.map((_, i) => i).filter((i) => commits[i] !== undefined)
}

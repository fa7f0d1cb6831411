import { readFile } from 'node:fs/promises'
import type { Table } from 'apache-arrow'
import { Fc7Error, messageOf, throwIfAborted } from '../../base/errors.js'
import { readIfPresent, sha256 } from '../../base/files.js'
import { type Progress, silentProgress } from '../../base/progress.js'
import { counted } from '../../base/text.js'
import { decodeArrow, layerValues, textValues } from './arrow.js'
import { type Commit, failuresPath, manifestPath, manifestSchema, shardPath, thumbsPath } from './layout.js'
import { type ExtractionPlan, shardRange } from './plan.js'
import { readCommit, readPlan } from './store.js'
import { rowId, rowsOf } from './views.js'

/** One thing that is wrong with a store. `error`: the store must not be used; `warning`: look at it. */
export interface Finding {
  readonly severity: 'error' | 'warning'
  readonly file: string
  readonly problem: string
}

export interface VerifyResult {
  readonly ok: boolean
  readonly rows: number
  readonly failures: number
  readonly findings: readonly Finding[]
}

/** What is wrong, in the order in which it is found. */
class Findings {
  readonly list: Finding[] = []

  error(file: string, problem: string): void {
    this.list.push({ severity: 'error', file, problem })
  }

  warning(file: string, problem: string): void {
    this.list.push({ severity: 'warning', file, problem })
  }

  get ok(): boolean {
    return this.list.every((finding) => finding.severity !== 'error')
  }
}

/** The store under check: its plan, the commits read so far and what was found. */
interface Check {
  readonly store: string
  readonly plan: ExtractionPlan
  readonly hash: string
  readonly commits: readonly (Commit | undefined)[]
  readonly findings: Findings
}

/** A row's values: whether all are finite, and whether all are zero. */
function valuesOfRow(values: Float32Array, start: number, end: number): { finite: boolean; zero: boolean } {
  let zero = true
  let finite = true
  for (let i = start; i < end; i++) {
    const value = values[i]!
    if (value !== 0) zero = false
    if (!Number.isFinite(value)) finite = false
  }
  return { finite, zero }
}

function checkValues({ plan, findings }: Check, table: Table, file: string): void {
  const ids = textValues(table, 'id')
  for (const layer of plan.layers) {
    const column = layerValues(table, layer.name)
    if (table.numRows > 0 && column?.dim !== layer.dim) {
      findings.error(file, `no column for layer ${layer.name} with ${layer.dim} values a row`)
      continue
    }
    if (!column) continue
    const { values, dim } = column
    for (let row = 0; row < table.numRows; row++) {
      const { finite, zero } = valuesOfRow(values, row * dim, (row + 1) * dim)
      const what = `row ${row} (${ids[row]}) of layer ${layer.name}`
      if (!finite) findings.error(file, `${what} holds NaN or infinity`)
      else if (zero) findings.warning(file, `${what} is all zeros`)
    }
  }
}

/** Every image must be followed by the views that the plan names for its split. @returns images found */
function checkViews({ plan, findings }: Check, table: Table, file: string): number {
  const ids = textValues(table, 'id')
  const splits = textValues(table, 'split')
  const view = table.getChild('view')
  let images = 0
  let row = 0
  while (row < table.numRows) {
    const first = row
    const id = ids[first] ?? ''
    const wanted = rowsOf(plan, splits[first] ?? null)
    let right = Number(view?.get(row) ?? 0) === 0
    for (row++; row < table.numRows && Number(view?.get(row) ?? 0) > 0; row++)
      right &&= Number(view?.get(row)) === row - first && ids[row] === rowId(id, row - first)
    if (!right || row - first !== wanted) {
      const planned = wanted === 1 ? 'one row' : `${wanted} rows in order`
      findings.error(file, `the views of ${id} (row ${first}) are not the ${planned} that the plan names`)
    }
    images++
  }
  return images
}

async function checkThumbs({ store, findings }: Check, i: number, commit: Commit): Promise<void> {
  const file = thumbsPath('', i)
  const thumbs = await readFile(thumbsPath(store, i)).catch(() => undefined)
  if (!thumbs) findings.warning(file, 'is missing: reports will have no images of this shard')
  else if (sha256(thumbs) !== commit.thumbs) findings.error(file, 'its bytes do not have the sha256 of the commit file')
}

/** The shard's table, where its file is there and whole; its bytes must have the commit's hash. */
async function readTable({ store, findings }: Check, i: number, commit: Commit): Promise<Table | undefined> {
  const file = shardPath('', i)
  const bytes = await readIfPresent(shardPath(store, i))
  if (!bytes) {
    findings.error(file, 'is missing')
    return undefined
  }
  if (sha256(bytes) !== commit.sha256) findings.error(file, 'its bytes do not have the sha256 of its commit file')
  try {
    return decodeArrow(bytes)
  } catch (error) {
    findings.error(file, `is not a whole Arrow file: ${messageOf(error)}`)
    return undefined
  }
}

async function checkShard(check: Check, i: number, commit: Commit): Promise<void> {
  const { plan, hash, findings } = check
  const file = shardPath('', i)
  const table = await readTable(check, i, commit)
  if (!table) return
  if (table.schema.metadata.get('fc7.plan') !== hash) findings.error(file, 'belongs to another plan')
  if (table.numRows !== commit.rows)
    findings.error(file, `holds ${table.numRows} rows, its commit file says ${commit.rows}`)
  const { start, end } = shardRange(plan, i)
  // Embeddings made elsewhere have whatever views they have.
  const images = plan.recipe ? checkViews(check, table, file) : table.numRows
  const failures = commit.failures.length
  if (images + failures !== end - start) {
    const found = `${counted(images, 'image')} and ${counted(failures, 'failure')}`
    findings.error(file, `${found} do not make the ${counted(end - start, 'item')} planned`)
  }
  checkValues(check, table, file)
  if (plan.thumbs) await checkThumbs(check, i, commit)
}

async function checkManifest({ store, hash, commits, findings }: Check, rows: number, failures: number): Promise<void> {
  const file = 'manifest.json'
  const bytes = await readIfPresent(manifestPath(store))
  if (!bytes) return findings.error(file, 'is missing: the store is not finished')
  try {
    const manifest = manifestSchema.parse(JSON.parse(bytes.toString('utf8')))
    if (manifest.plan !== hash) findings.error(file, 'belongs to another plan')
    if (manifest.rows !== rows) findings.error(file, `says ${manifest.rows} rows, the shards hold ${rows}`)
    if (manifest.failures !== failures)
      findings.error(file, `says ${manifest.failures} failures, the shards list ${failures}`)
    manifest.shards.forEach((shard, i) => {
      if (commits[i] && shard.sha256 !== commits[i]?.sha256)
        findings.error(file, `names another sha256 for ${shard.file} than its commit file`)
    })
  } catch (error) {
    findings.error(file, `cannot be read: ${messageOf(error).split('\n')[0]}`)
  }
  const lines = (await readIfPresent(failuresPath(store)))?.toString('utf8').split('\n').filter(Boolean).length
  if (lines !== undefined && lines !== failures)
    findings.error('failures.jsonl', `lists ${counted(lines, 'image')}, the shards ${failures}`)
}

/**
 * Checks every hash, count and value of a store, and lists all that is wrong. Memory: one shard.
 *
 * @throws Fc7Error STORE_MISSING when the folder holds no plan; INTERRUPTED
 */
export async function verifyStore(
  store: string,
  options: { readonly progress?: Progress | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<VerifyResult> {
  const held = await readPlan(store)
  if (!held)
    throw new Fc7Error('STORE_MISSING', `${store} is not a store: it has no plan.json.`, {
      hint: 'Make one with `fc7 extract <images> --out <store>`.',
    })
  const { plan, hash } = held
  const { progress = silentProgress, signal } = options
  const task = progress.task({ label: 'Verifying', total: plan.shards.length, unit: 'shards' })
  const commits: (Commit | undefined)[] = []
  const findings = new Findings()
  const check: Check = { store, plan, hash, commits, findings }
  let rows = 0
  let failures = 0
  for (let i = 0; i < plan.shards.length; i++) {
    throwIfAborted(signal, 'The check')
    const commit = await readCommit(store, i, hash)
    commits.push(commit)
    if (!commit) findings.error(shardPath('', i), 'is not done: it has no valid commit file')
    else {
      rows += commit.rows
      failures += commit.failures.length
      await checkShard(check, i, commit)
    }
    task.update(i + 1)
  }
  task.end()
  await checkManifest(check, rows, failures)
  return { ok: findings.ok, rows, failures, findings: findings.list }
}

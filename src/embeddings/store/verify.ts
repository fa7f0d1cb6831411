import { readFile } from 'node:fs/promises'
import type { Table } from 'apache-arrow'
import { Fc7Error, messageOf, throwIfAborted } from '../../base/errors.js'
import { readIfPresent, sha256 } from '../../base/files.js'
import { type Progress, silentProgress } from '../../base/progress.js'
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

function checkValues(table: Table, plan: ExtractionPlan, file: string, add: (finding: Finding) => void): void {
  const ids = textValues(table, 'id')
  for (const layer of plan.layers) {
    const column = layerValues(table, layer.name)
    if (table.numRows > 0 && column?.dim !== layer.dim) {
      add({ severity: 'error', file, problem: `no column for layer ${layer.name} with ${layer.dim} values a row` })
      continue
    }
    if (!column) continue
    const { values, dim } = column
    for (let row = 0; row < table.numRows; row++) {
      let zero = true
      let finite = true
      for (let i = row * dim; i < (row + 1) * dim; i++) {
        const value = values[i]!
        if (value !== 0) zero = false
        if (!Number.isFinite(value)) finite = false
      }
      if (!finite)
        add({
          severity: 'error',
          file,
          problem: `row ${row} (${ids[row]}) of layer ${layer.name} holds NaN or infinity`,
        })
      else if (zero)
        add({ severity: 'warning', file, problem: `row ${row} (${ids[row]}) of layer ${layer.name} is all zeros` })
    }
  }
}

/** Every image must be followed by the views that the plan estimates for its split. @returns images met */
function checkViews(table: Table, plan: ExtractionPlan, file: string, add: (finding: Finding) => void): number {
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
    if (!right || row - first !== wanted)
      add({
        severity: 'error',
        file,
        problem: `the views of ${id} (row ${first}) are not the ${wanted} rows in order that the plan estimates`,
      })
    images++
  }
  return images
}

async function checkShard(
  store: string,
  plan: ExtractionPlan,
  hash: string,
  i: number,
  commit: Commit,
  add: (finding: Finding) => void,
): Promise<void> {
  const file = shardPath('', i)
  const bytes = await readIfPresent(shardPath(store, i))
  if (!bytes) return add({ severity: 'error', file, problem: 'is missing' })
  if (sha256(bytes) !== commit.sha256)
    add({ severity: 'error', file, problem: 'its bytes do not have the sha256 of its commit file' })
  let table: Table
  try {
    table = decodeArrow(bytes)
  } catch (error) {
    return add({ severity: 'error', file, problem: `is not a whole Arrow file: ${messageOf(error)}` })
  }
  if (table.schema.metadata.get('fc7.plan') !== hash)
    add({ severity: 'error', file, problem: 'belongs to another plan' })
  if (table.numRows !== commit.rows)
    add({ severity: 'error', file, problem: `holds ${table.numRows} rows, its commit file says ${commit.rows}` })
  const { start, end } = shardRange(plan, i)
  // Embeddings made elsewhere have whatever views they have.
  const images = plan.recipe ? checkViews(table, plan, file, add) : table.numRows
  if (images + commit.failures.length !== end - start) {
    add({
      severity: 'error',
      file,
      problem: `${images} images and ${commit.failures.length} failures do not make the ${end - start} items planned`,
    })
  }
  checkValues(table, plan, file, add)
  if (plan.thumbs) {
    const thumbs = await readFile(thumbsPath(store, i)).catch(() => undefined)
    if (!thumbs)
      add({
        severity: 'warning',
        file: thumbsPath('', i),
        problem: 'is missing: reports will have no images of this shard',
      })
    else if (sha256(thumbs) !== commit.thumbs)
      add({
        severity: 'error',
        file: thumbsPath('', i),
        problem: 'its bytes do not have the sha256 of the commit file',
      })
  }
}

/**
 * Checks every hash, count and value of a store, and lists all that is wrong. Memory: one shard.
 *
 * @throws Fc7Error STORE_MISSING when the folder holds no plan
 */
export async function verifyStore(
  store: string,
  options: { readonly progress?: Progress | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<VerifyResult> {
  const findings: Finding[] = []
  const add = (finding: Finding): void => void findings.push(finding)
  const held = await readPlan(store)
  if (!held)
    throw new Fc7Error('STORE_MISSING', `${store} is not a store: it has no plan.json.`, {
      hint: 'Make one with `fc7 extract <images> --out <store>`.',
    })
  const { plan, hash } = held
  const task = (options.progress ?? silentProgress).task({
    label: 'Verifying',
    total: plan.shards.length,
    unit: 'shards',
  })
  let rows = 0
  let failures = 0
  const commits: (Commit | undefined)[] = []
  for (let i = 0; i < plan.shards.length; i++) {
    throwIfAborted(options.signal, 'The check')
    const commit = await readCommit(store, i, hash)
    commits.push(commit)
    if (!commit) {
      add({ severity: 'error', file: shardPath('', i), problem: 'is not done: it has no valid commit file' })
    } else {
      rows += commit.rows
      failures += commit.failures.length
      await checkShard(store, plan, hash, i, commit, add)
    }
    task.update(i + 1)
  }
  task.end()
  await checkManifest(store, hash, commits, rows, failures, add)
  return { ok: findings.every((finding) => finding.severity !== 'error'), rows, failures, findings }
}

async function checkManifest(
  store: string,
  hash: string,
  commits: readonly (Commit | undefined)[],
  rows: number,
  failures: number,
  add: (finding: Finding) => void,
): Promise<void> {
  const file = 'manifest.json'
  const bytes = await readIfPresent(manifestPath(store))
  if (!bytes) return add({ severity: 'error', file, problem: 'is missing: the store is not finished' })
  try {
    const manifest = manifestSchema.parse(JSON.parse(bytes.toString('utf8')))
    if (manifest.plan !== hash) add({ severity: 'error', file, problem: 'belongs to another plan' })
    if (manifest.rows !== rows)
      add({ severity: 'error', file, problem: `says ${manifest.rows} rows, the shards hold ${rows}` })
    if (manifest.failures !== failures)
      add({ severity: 'error', file, problem: `says ${manifest.failures} failures, the shards list ${failures}` })
    manifest.shards.forEach((shard, i) => {
      if (commits[i] && shard.sha256 !== commits[i]?.sha256)
        add({ severity: 'error', file, problem: `names another sha256 for ${shard.file} than its commit file` })
    })
  } catch (error) {
    add({ severity: 'error', file, problem: `cannot be read: ${messageOf(error).split('\n')[0]}` })
  }
  const lines = (await readIfPresent(failuresPath(store)))?.toString('utf8').split('\n').filter(Boolean).length
  if (lines !== undefined && lines !== failures)
    add({ severity: 'error', file: 'failures.jsonl', problem: `lists ${lines} images, the shards ${failures}` })
}

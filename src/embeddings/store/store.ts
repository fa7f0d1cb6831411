import { readdir, readFile, stat } from 'node:fs/promises'
import type { Table } from 'apache-arrow'
import { Fc7Error, messageOf, systemCode } from '../../base/errors.js'
import { readIfPresent, readJson, readNote, sha256 } from '../../base/files.js'
import { decodeArrow, layerValues, textValues } from './arrow.js'
import {
  type Commit,
  commitPath,
  commitSchema,
  type Manifest,
  manifestPath,
  manifestSchema,
  planPath,
  shardPath,
  thumbsPath,
} from './layout.js'
import { type ExtractionPlan, planSchema, shardRange } from './plan.js'
import type { EmbeddingTable } from './table.js'

/** A finished store, open for reading. */
export interface Store {
  readonly path: string
  readonly plan: ExtractionPlan
  readonly planHash: string
  readonly manifest: Manifest
}

const broken = (path: string, reason: string): Fc7Error =>
  new Fc7Error('STORE_BROKEN', `${path} is damaged: ${reason}.`, {
    hint: 'Run `fc7 verify` on the store to see all that is wrong, then the same `fc7 extract` again.',
  })

/** The plan of a store folder, or undefined where there is none. @throws Fc7Error STORE_BROKEN when it is not a plan */
export async function readPlan(
  store: string,
): Promise<{ readonly plan: ExtractionPlan; readonly hash: string } | undefined> {
  const bytes = await readIfPresent(planPath(store))
  if (!bytes) return undefined
  try {
    return { plan: planSchema.parse(JSON.parse(bytes.toString('utf8'))), hash: sha256(bytes) }
  } catch (error) {
    throw broken(planPath(store), messageOf(error).split('\n')[0]!)
  }
}

/** The commit of shard `i`, or undefined where it is missing, broken, or of another plan: that shard is not done. */
export async function readCommit(store: string, i: number, planHash: string): Promise<Commit | undefined> {
  const commit = await readNote(commitPath(store, i), commitSchema)
  return commit?.plan === planHash ? commit : undefined
}

/**
 * Opens a finished store.
 *
 * @throws Fc7Error STORE_MISSING, STORE_UNFINISHED, STORE_BROKEN
 */
export async function openStore(path: string): Promise<Store> {
  const found = await stat(path).catch((error) => {
    if (systemCode(error) === 'ENOENT')
      throw new Fc7Error('STORE_MISSING', `There is no store at ${path}.`, {
        hint: 'Make one with `fc7 extract <images> --out <store>`.',
      })
    throw error
  })
  const plan = found.isDirectory() ? await readPlan(path) : undefined
  if (!plan)
    throw new Fc7Error('STORE_MISSING', `${path} is not a store: it has no plan.json.`, {
      hint: 'Make one with `fc7 extract <images> --out <store>`.',
    })
  const present = await readIfPresent(manifestPath(path))
  if (!present) {
    throw new Fc7Error('STORE_UNFINISHED', `The store ${path} is not finished: it has no manifest.json.`, {
      hint: 'Run the same `fc7 extract` again; it resumes.',
    })
  }
  const parsed = manifestSchema.safeParse(await readJson(manifestPath(path), 'The manifest'))
  if (!parsed.success) throw broken(manifestPath(path), parsed.error.issues[0]?.message ?? 'not a manifest')
  if (parsed.data.plan !== plan.hash) throw broken(manifestPath(path), 'it belongs to another plan')
  return { path, plan: plan.plan, planHash: plan.hash, manifest: parsed.data }
}

/** True where a folder looks like a store, finished or not. */
export async function isStore(path: string): Promise<boolean> {
  const names = await readdir(path).catch(() => [] as string[])
  return (
    names.includes('plan.json') && (names.includes('manifest.json') || names.some((name) => name.startsWith('shard-')))
  )
}

/** Shard `i` as an Arrow table whose columns are views of the file's bytes. @throws Fc7Error STORE_BROKEN */
export async function readShard(store: Store, i: number): Promise<Table> {
  const path = shardPath(store.path, i)
  let table: Table
  try {
    table = decodeArrow(await readFile(path))
  } catch (error) {
    throw broken(path, messageOf(error))
  }
  if (table.schema.metadata.get('fc7.plan') !== store.planHash) throw broken(path, 'it belongs to another plan')
  if (table.numRows !== store.manifest.shards[i]?.rows)
    throw broken(path, `it holds ${table.numRows} rows, the manifest says ${store.manifest.shards[i]?.rows}`)
  return table
}

/**
 * The layer a command works on.
 *
 * @throws Fc7Error LAYER_NEEDED when the store has several and none is named, LAYER_UNKNOWN with the list
 */
export function chooseLayer(store: Store, wanted?: string): { readonly name: string; readonly dim: number } {
  const names = store.plan.layers.map((layer) => layer.name).join(', ')
  if (wanted === undefined) {
    if (store.plan.layers.length > 1)
      throw new Fc7Error('LAYER_NEEDED', `The store ${store.path} holds several layers.`, {
        hint: `Choose one with --layer: ${names}.`,
      })
    return store.plan.layers[0]!
  }
  const found = store.plan.layers.find((layer) => layer.name === wanted || layer.tensor === wanted)
  if (!found)
    throw new Fc7Error('LAYER_UNKNOWN', `The store ${store.path} has no layer "${wanted}".`, {
      hint: `It holds: ${names}.`,
    })
  return found
}

const splitNames = new Set(['train', 'val', 'test'])

/** One layer of a store, all rows in plan order. @throws Fc7Error as {@link chooseLayer} and {@link readShard} */
export async function readTable(store: Store, wanted?: string): Promise<EmbeddingTable> {
  const layer = chooseLayer(store, wanted)
  const rows = store.manifest.rows
  const x = new Float32Array(rows * layer.dim)
  const views = new Uint16Array(rows)
  const text: Record<'id' | 'path' | 'label' | 'split' | 'group' | 'sha256', (string | null)[]> = {
    id: [],
    path: [],
    label: [],
    split: [],
    group: [],
    sha256: [],
  }
  let at = 0
  for (let i = 0; i < store.plan.shards.length; i++) {
    const shard = await readShard(store, i)
    const values = shard.numRows > 0 ? layerValues(shard, layer.name) : { dim: layer.dim, values: new Float32Array(0) }
    if (values?.dim !== layer.dim)
      throw broken(shardPath(store.path, i), `it has no column of layer ${layer.name} with ${layer.dim} values`)
    x.set(values.values, at * layer.dim)
    for (const name of Object.keys(text) as (keyof typeof text)[])
      for (const value of textValues(shard, name)) text[name].push(value)
    const view = shard.getChild('view')
    for (let row = 0; row < shard.numRows; row++) views[at + row] = Number(view?.get(row) ?? 0)
    at += shard.numRows
  }
  return {
    layer: layer.name,
    rows,
    dim: layer.dim,
    x,
    ids: text.id.map((value) => value ?? ''),
    paths: text.path.map((value) => value ?? ''),
    labels: text.label,
    splits: text.split.map((value) => (value !== null && splitNames.has(value) ? (value as 'train') : null)),
    groups: text.group,
    views,
    hashes: text.sha256.map((value) => value || null),
    classes: store.manifest.classes,
  }
}

/** Thumbnails (WebP bytes) and 64-bit dHashes (16 hex digits) by id; empty for a store made with --no-thumbs. */
export async function readThumbs(
  store: Store,
): Promise<Map<string, { readonly webp: Uint8Array; readonly dHash: string }>> {
  const found = new Map<string, { webp: Uint8Array; dHash: string }>()
  if (!store.plan.thumbs) return found
  for (let i = 0; i < store.plan.shards.length; i++) {
    const bytes = await readIfPresent(thumbsPath(store.path, i))
    if (!bytes) continue
    let table: Table
    try {
      table = decodeArrow(bytes)
    } catch (error) {
      throw broken(thumbsPath(store.path, i), messageOf(error))
    }
    const ids = textValues(table, 'id')
    const hashes = textValues(table, 'dhash')
    const thumbs = table.getChild('thumb')
    ids.forEach((id, row) => {
      found.set(id ?? '', { webp: thumbs?.get(row) as Uint8Array, dHash: hashes[row] ?? '' })
    })
  }
  return found
}

/** Items of shard `i` by the plan: its images plus its failures once it is done. */
export function plannedItems(plan: ExtractionPlan, i: number): number {
  const { start, end } = shardRange(plan, i)
  return end - start
}

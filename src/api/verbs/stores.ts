import { throwIfAborted } from '../../base/errors.js'
import { exportSource } from '../../embeddings/exporters/export.js'
import { getExporter } from '../../embeddings/exporters/registry.js'
import { importEmbeddings as importFile } from '../../embeddings/importers/import.js'
import type { Manifest } from '../../embeddings/store/layout.js'
import { mergeStores as mergeParts } from '../../embeddings/store/merge.js'
import { openStore as open, readTable as read, type Store } from '../../embeddings/store/store.js'
import type { EmbeddingTable } from '../../embeddings/store/table.js'
import { type VerifyResult, verifyStore as verify } from '../../embeddings/store/verify.js'
import { type CommonOptions, contextOf } from '../shared/context.js'

/** Opens a store for reading. @throws Fc7Error STORE_MISSING, STORE_BROKEN */
export const openStore = (path: string): Promise<Store> => open(path)

/** Reads one layer of a store: rows `[rows, dim]` with ids, labels, splits and groups. */
export const readTable = (store: Store, layer?: string): Promise<EmbeddingTable> => read(store, layer)

export interface ImportOptions extends CommonOptions {
  /** .npy, .parquet or .csv. */
  readonly file: string
  readonly out: string
  /** CSV with a line a row: `label`, or id, path, label, split, group, view by name. */
  readonly labels?: string | undefined
  /** What the embeddings are called where a backbone would be named. Default: the file's name. */
  readonly name?: string | undefined
  readonly force?: boolean | undefined
}

/** Makes a store of embeddings that were computed elsewhere. */
export async function importEmbeddings(options: ImportOptions): Promise<Manifest> {
  contextOf(options)
  const { file, out, labels, name, force } = options
  return importFile(file, { out, labels, name, force })
}

export interface ExportOptions extends CommonOptions {
  readonly store: string | Store
  /** Id of an exporter: npy, npz, parquet, safetensors, csv or projector. */
  readonly to: string
  readonly out: string
  /** Needed where the store holds several. */
  readonly layer?: string | undefined
}

export interface ExportResult {
  readonly files: readonly string[]
  readonly rows: number
  readonly dim: number
  readonly layer: string
}

/** Writes a layer of a store in another format. */
export async function exportStore(options: ExportOptions): Promise<ExportResult> {
  const { signal } = contextOf(options)
  const store = typeof options.store === 'string' ? await open(options.store) : options.store
  const source = exportSource(store, options.layer)
  throwIfAborted(signal, `Exporting ${store.path}`)
  const files = await getExporter(options.to).write(source, options.out)
  return { files, rows: source.rows, dim: source.dim, layer: source.layer }
}

export interface MergeOptions extends CommonOptions {
  /** Folders that parts of one extraction were written to. */
  readonly stores: readonly string[]
  readonly out: string
}

export interface MergeResult {
  /** null where shards are missing. */
  readonly manifest: Manifest | null
  readonly missing: readonly number[]
}

/** Joins the parts of one extraction. */
export async function mergeStores(options: MergeOptions): Promise<MergeResult> {
  contextOf(options)
  return mergeParts(options.stores, options.out)
}

export interface VerifyOptions extends CommonOptions {
  readonly store: string
}

/** Reads a store as a whole and says what is wrong with it. */
export async function verifyStore(options: VerifyOptions): Promise<VerifyResult> {
  const { progress, signal } = contextOf(options)
  return verify(options.store, { progress, signal })
}

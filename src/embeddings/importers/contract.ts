import { Fc7Error } from '../../base/errors.js'

/** What is known of a row of embeddings made elsewhere; missing where the file says nothing. */
export interface IndexRow {
  readonly id?: string | undefined
  readonly path?: string | undefined
  readonly label?: string | null | undefined
  readonly split?: string | null | undefined
  readonly group?: string | null | undefined
  readonly view?: number | undefined
}

/** A matrix made elsewhere: rows are asked for in order, a run at a time. */
export interface ForeignMatrix {
  readonly rows: number
  readonly dim: number
  /** `[end - start, dim]`. */
  read(start: number, end: number): Promise<Float32Array>
  readonly index?: readonly IndexRow[] | undefined
}

/** One format. Each is one file, listed in the registry by the ending of its files. */
export type Importer = (path: string) => Promise<ForeignMatrix>

export const importError = (path: string, reason: string, hint: string): Fc7Error =>
  new Fc7Error('IMPORT_BAD', `${path}: ${reason}.`, { hint })

import type { Importer } from './contract.js'
import { openCsv } from './csv.js'
import { openNpy } from './npy.js'
import { openParquet } from './parquet.js'

/** All formats that `fc7 import` reads, by the ending of their files. */
export const importers: Readonly<Record<string, Importer>> = {
  '.npy': openNpy,
  '.csv': openCsv,
  '.parquet': openParquet,
}

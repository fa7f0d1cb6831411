import type { DatasetSource } from './contract.js'
import { folder } from './sources/folder.js'
import { image } from './sources/image.js'
import { csv, jsonl } from './sources/list.js'
import { parquet } from './sources/parquet.js'
import { webdataset } from './sources/webdataset.js'

/**
 * Every form that images come in; the first that recognises a path reads it, so the folder, which takes any, is last.
 */
export const datasetSources: readonly DatasetSource[] = [image, csv, jsonl, webdataset, parquet, folder]

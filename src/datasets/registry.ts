import type { DatasetSource } from './contract.js'
import { folder, picture } from './sources/folder.js'

/** Every form that pictures come in; the first that recognises a path reads it, so the folder, which takes any, is last. */
export const datasetSources: readonly DatasetSource[] = [picture, folder]

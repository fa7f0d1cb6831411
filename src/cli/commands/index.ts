import type { Command } from '../command.js'
import { datasets } from './datasets.js'
import { doctor } from './doctor.js'
import { exportStore } from './export.js'
import { importStore } from './import.js'
import { merge } from './merge.js'
import { verify } from './verify.js'

/** Every command, in the order of `fc7 --help`. */
export const commands: readonly Command[] = [datasets, verify, merge, exportStore, importStore, doctor]

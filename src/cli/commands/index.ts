import type { Command } from '../command.js'
import { compare } from './compare.js'
import { datasets } from './datasets.js'
import { demo } from './demo.js'
import { doctor } from './doctor.js'
import { exportStore } from './export.js'
import { extract } from './extract.js'
import { importStore } from './import.js'
import { merge } from './merge.js'
import { models } from './models.js'
import { predict } from './predict.js'
import { report } from './report.js'
import { train } from './train.js'
import { verify } from './verify.js'

/** Every command, in the order of `fc7 --help`. */
export const commands: readonly Command[] = [
  demo,
  models,
  datasets,
  extract,
  verify,
  merge,
  exportStore,
  importStore,
  train,
  predict,
  compare,
  report,
  doctor,
]

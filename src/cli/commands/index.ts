import type { Command } from '../command.js'
import { doctor } from './doctor.js'

/** Every command, in the order of `fc7 --help`. */
export const commands: readonly Command[] = [doctor]

import { adam } from './adam.js'
import type { Optimiser, OptimiserOptions } from './contract.js'
import { sgd } from './sgd.js'

/** The optimiser that the options describe. */
export function createOptimiser(options: OptimiserOptions): Optimiser {
  return options.kind === 'sgd' ? sgd(options) : adam(options)
}

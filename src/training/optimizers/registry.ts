import { adam } from './adam.js'
import type { Optimizer, OptimizerOptions } from './contract.js'
import { sgd } from './sgd.js'

/** The optimizer that the options describe. */
export function createOptimizer(options: OptimizerOptions): Optimizer {
  return options.kind === 'sgd' ? sgd(options) : adam(options)
}

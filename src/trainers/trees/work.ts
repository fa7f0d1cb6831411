import { createRandom } from '../../base/random.js'
import { binColumns, binCuts, binForest } from './binning.js'
import { type BoostingSetup, type BoostJob, boostTree } from './boosting.js'
import { type GrownTree, type GrowOptions, growClassificationTree } from './classification.js'
import { binQuantiles } from './quantile-bins.js'
import { growRandomTree } from './random-tree.js'
import type { TreeData } from './search.js'

/** What every job of one fit shares. Its arrays lie in shared memory where threads share it. */
export interface TreeSetup {
  readonly data: TreeData
  /** `[rows]`, or all 1. */
  readonly weights?: Float64Array
  readonly maxBins: number
  readonly seed: number
  readonly grow?: GrowOptions
  /** Rows drawn with replacement for every tree. */
  readonly bootstrap?: boolean
  readonly boosting?: BoostingSetup
}

export type TreeJob =
  /** Fills the bins of the columns `from` to `to`. */
  | { readonly kind: 'columns'; readonly from: number; readonly to: number }
  | { readonly kind: 'tree'; readonly tree: number }
  | BoostJob

/** A grown tree; with a bootstrap also the leaf of every row that was not drawn, and -1 for the others. */
export interface TreeResult extends GrownTree {
  readonly outOfBag?: Int32Array
}

/**
 * One job, the same in every thread.
 *
 * @param thread 0 for the fit's own
 */
export function perform(setup: TreeSetup, job: TreeJob, thread: number): unknown {
  const { data } = setup
  switch (job.kind) {
    case 'columns':
      if (setup.boosting) binQuantiles({ ...data, ...job }, data.codes, setup.boosting.cuts, setup.maxBins)
      else if (data.cuts) binCuts({ ...data, ...job }, data.cuts, setup.maxBins)
      else if (data.codes instanceof Uint16Array) binColumns({ ...data, ...job }, data.codes, setup.maxBins)
      else binForest({ ...data, ...job }, data.forest, setup.maxBins)
      return undefined
    case 'tree':
      return forestTree(setup, job.tree, thread)
    case 'boost':
      return boostTree(setup, setup.boosting!, job)
  }
}

function forestTree({ data, weights, seed, grow, bootstrap }: TreeSetup, index: number, thread: number): TreeResult {
  const random = createRandom(seed).fork(index)
  const { rows } = data
  const drawn = new Float64Array(rows)
  if (bootstrap) for (let i = 0; i < rows; i++) drawn[random.int(rows)]!++
  else drawn.fill(1)
  const outOfBag = bootstrap ? Int32Array.from(drawn, (n) => (n > 0 ? -1 : 0)) : undefined
  const own = weights ? drawn.map((n, i) => n * weights[i]!) : drawn
  if (data.cuts) return growRandomTree(data, data.cuts, own, grow!, random, thread)
  const tree = growClassificationTree(data, own, grow!, random, outOfBag)
  return outOfBag ? { ...tree, outOfBag } : tree
}

import { createRandom } from '../../base/random.js'
import { binColumns, binForest } from './bins/binning.js'
import { binQuantiles } from './bins/quantile-bins.js'
import { type BoostingSetup, type BoostJob, boostTree } from './boosting/boosting.js'
import { type GrownTree, type GrowOptions, growClassificationTree } from './growing/classification.js'
import { growForestTree, leavesOfOthers } from './growing/forest-tree.js'
import type { TreeData } from './growing/search.js'

/** What every job of one fit shares. Its arrays lie in shared memory where threads share it. */
export interface TreeSetup {
  readonly data: TreeData
  /** `[rows]`, or all 1. */
  readonly weights?: Float64Array | undefined
  readonly maxBins: number
  readonly seed: number
  readonly grow?: GrowOptions | undefined
  /** Rows drawn with replacement for every tree. */
  readonly bootstrap?: boolean | undefined
  readonly boosting?: BoostingSetup | undefined
}

export type TreeJob =
  /** Fills the bins of the columns `from` to `to`. */
  | { readonly kind: 'columns'; readonly from: number; readonly to: number }
  | { readonly kind: 'tree'; readonly tree: number }
  | BoostJob

/** What a thread of trees can be asked. */
export type TreeRequests = { perform: { ask: TreeJob; answer: unknown } }

/** A grown tree; with a bootstrap also the leaf of every row that was not drawn, and -1 for the others. */
export interface TreeResult extends GrownTree {
  readonly outOfBag?: Int32Array | undefined
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
      else if (data.forest) binForest({ ...data, ...job }, data.forest, setup.maxBins)
      else if (data.codes instanceof Uint16Array) binColumns({ ...data, ...job }, data.codes, setup.maxBins)
      return undefined
    case 'tree':
      return growTree(setup, job.tree, thread)
    case 'boost':
      return boostTree(setup, setup.boosting!, job)
  }
}

function growTree({ data, weights, seed, grow, bootstrap }: TreeSetup, index: number, thread: number): TreeResult {
  const random = createRandom(seed).fork(index)
  const { rows } = data
  const drawn = new Float64Array(rows)
  if (bootstrap) for (let i = 0; i < rows; i++) drawn[random.int(rows)]!++
  else drawn.fill(1)
  const own = weights ? drawn.map((n, i) => n * weights[i]!) : drawn
  if (!data.forest) return growClassificationTree(data, own, grow!, random)
  const tree = growForestTree(data, data.forest, own, grow!, random, thread)
  if (!bootstrap) return tree
  const outOfBag = leavesOfOthers(data, data.forest, tree, thread, (row) => drawn[row] === 0)
  return { ...tree, outOfBag }
}

import { createRandom } from '../../base/random.js'
import { leafOf } from './arrays.js'
import { binColumns, transposeColumns } from './binning.js'
import { type BoostingSetup, type BoostJob, boostTree } from './boosting.js'
import { type GrownTree, type GrowOptions, growClassificationTree, type TreeData } from './classification.js'

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
  /** Fills bins (or columns) `from` to `to`. */
  | { readonly kind: 'columns'; readonly from: number; readonly to: number }
  | { readonly kind: 'tree'; readonly tree: number }
  | BoostJob

/** A grown tree; with a bootstrap also the leaf of every row that was not drawn, and -1 for the others. */
export interface TreeResult extends GrownTree {
  readonly outOfBag?: Int32Array
}

/** One job, the same in every thread. */
export function perform(setup: TreeSetup, job: TreeJob): unknown {
  const { data } = setup
  switch (job.kind) {
    case 'columns':
      if (data.columns.length > 0) transposeColumns(data.x, data.rows, data.cols, data.columns, job.from, job.to)
      else binColumns(data.x, data, setup.maxBins, job.from, job.to)
      return undefined
    case 'tree':
      return forestTree(setup, job.tree)
    case 'boost':
      return boostTree(setup, setup.boosting!, job)
  }
}

function forestTree({ data, weights, seed, grow, bootstrap }: TreeSetup, index: number): TreeResult {
  const random = createRandom(seed).fork(index)
  const { rows, cols, x } = data
  const drawn = new Float64Array(rows)
  if (bootstrap) for (let i = 0; i < rows; i++) drawn[random.int(rows)]!++
  else drawn.fill(1)
  const tree = growClassificationTree(data, weights ? drawn.map((n, i) => n * weights[i]!) : drawn, grow!, random)
  if (!bootstrap) return tree
  const outOfBag = new Int32Array(rows)
  for (let i = 0; i < rows; i++) outOfBag[i] = drawn[i] === 0 ? leafOf(tree, 0, x, i * cols) : -1
  return { ...tree, outOfBag }
}

import { fitSigmoid } from '../calibration/calibration-curves.js'
import { denseSource, type PairSolution, PairSolver } from './smo.js'

export interface PairSettings {
  readonly tolerance: number
  readonly maxIterations: number
  readonly shrinking: boolean
  /** Held-out folds for the sigmoid of each pair; 0 when no probabilities are wanted. */
  readonly folds: number
}

/** One pair of classes; plain data, so that it can be sent to a worker thread. */
export interface PairJob {
  /** `[n, n]` kernel values, the rows of the first class first. */
  readonly gram: Float32Array
  /** Rows of the first class. */
  readonly first: number
  /** `[n]`, C times the row's weight. */
  readonly cost: Float64Array
  /** `[n]`, which fold holds the row out; read only when `settings.folds` is not 0. */
  readonly fold: Uint8Array
  readonly settings: PairSettings
}

export interface PairResult extends PairSolution {
  /** `[slope, offset]` of the pair's sigmoid, where wanted. */
  readonly sigmoid?: Float64Array | undefined
}

/** Numbers read from the kernel between two pauses: some tens of milliseconds. */
const pauseEvery = 20_000_000

/** Called between steps so that others get a turn; throws to stop. */
export type Pause = () => Promise<void>

async function solve(
  gram: Float32Array,
  positive: Uint8Array,
  cost: Float64Array,
  settings: PairSettings,
  pause: Pause,
): Promise<PairSolution> {
  const n = positive.length
  const solver = new PairSolver({ kernel: denseSource(gram, n), positive, cost, ...settings })
  const budget = Math.max(100, Math.floor(pauseEvery / n))
  while (!solver.advance(budget)) await pause()
  return solver.solution()
}

/** Solves one pair and, where wanted, fits its sigmoid on decisions of held-out folds, as libsvm does. */
export async function solvePair(job: PairJob, pause: Pause): Promise<PairResult> {
  const { gram, first, cost, settings } = job
  const n = cost.length
  const positive = Uint8Array.from({ length: n }, (_, i) => (i < first ? 1 : 0))
  const solution = await solve(gram, positive, cost, settings, pause)
  if (settings.folds === 0) return solution
  return { ...solution, sigmoid: fitSigmoid(await heldOutDecisions(job, positive, pause), positive) }
}

/** Every row's decision by a machine that did not see its fold. */
async function heldOutDecisions(job: PairJob, positive: Uint8Array, pause: Pause): Promise<Float64Array> {
  const { gram, cost, fold, settings } = job
  const n = cost.length
  const decisions = new Float64Array(n)
  for (let f = 0; f < settings.folds; f++) {
    const inside: number[] = []
    const outside: number[] = []
    for (let i = 0; i < n; i++) (fold[i] === f ? outside : inside).push(i)
    if (outside.length === 0) continue
    const positives = inside.reduce((sum, i) => sum + positive[i]!, 0)
    if (positives === 0 || positives === inside.length) {
      // libsvm's rule where a fold took all rows of a class.
      const only = inside.length === 0 ? 0 : positives > 0 ? 1 : -1
      for (const i of outside) decisions[i] = only
      continue
    }
    const m = inside.length
    const part = new Float32Array(m * m)
    for (let r = 0; r < m; r++) {
      const from = inside[r]! * n
      for (let s = 0; s < m; s++) part[r * m + s] = gram[from + inside[s]!]!
    }
    const { coefficients, bias } = await solve(
      part,
      Uint8Array.from(inside, (i) => positive[i]!),
      Float64Array.from(inside, (i) => cost[i]!),
      settings,
      pause,
    )
    for (const i of outside) {
      let sum = bias
      for (let s = 0; s < m; s++) if (coefficients[s] !== 0) sum += coefficients[s]! * gram[inside[s]! * n + i]!
      decisions[i] = sum
    }
  }
  return decisions
}

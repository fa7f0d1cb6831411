import { turnTaker } from '../../base/turns.js'
import { fitSigmoid } from '../calibration/calibration-curves.js'
import { KernelCache } from './cache.js'
import { type Kernel, type KernelRows, kernelBlock, kernelSlice, pickKernelRows } from './functions.js'
import { pairCount, pairs } from './pairwise.js'
import type { KernelPlan } from './plan.js'
import { PairSolver } from './smo.js'
import { type PairResult, type PairSettings, type Pause, solvePair } from './solve-pair.js'

export interface PairsProblem {
  /** Prepared rows, those of one class together, classes in order. */
  readonly rows: KernelRows
  /** `[classes + 1]`, where each class begins. */
  readonly starts: Int32Array
  /** `[rows]`, C times the row's weight. */
  readonly cost: Float64Array
  /** `[rows]`, which fold holds the row out for the sigmoids. */
  readonly fold: Uint8Array
  readonly kernel: Kernel
  readonly plan: KernelPlan
  readonly settings: PairSettings
  readonly threads: number
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((fraction: number) => void) | undefined
}

/** Solves every pair of classes, in libsvm's order of pairs. */
export function fitPairs(problem: PairsProblem): Promise<PairResult[]> {
  return problem.plan.mode === 'strips' ? fitStrips(problem) : fitSingly(problem)
}

/** One class's kernel block with all later classes at a time: every block is computed once. */
async function fitStrips(problem: PairsProblem): Promise<PairResult[]> {
  const { rows, starts, kernel, threads, signal } = problem
  const classes = starts.length - 1
  const pause = turnTaker(signal, 'Training')
  const own: Float32Array[] = []
  for (let c = 0; c < classes; c++) {
    await pause()
    const slice = kernelSlice(rows, starts[c]!, starts[c + 1]!)
    own.push(await kernelBlock(slice, slice, kernel, threads))
  }
  const results: PairResult[] = []
  for (let a = 0; a < classes - 1; a++) {
    const after = starts[a + 1]!
    const mine = kernelSlice(rows, starts[a]!, after)
    const strip = await kernelBlock(mine, kernelSlice(rows, after, rows.x.rows), kernel, threads)
    for (let b = a + 1; b < classes; b++) {
      await pause()
      const pick = rowsOfPair(starts, a, b)
      const across = { data: strip, at: starts[b]! - after, stride: rows.x.rows - after }
      results.push(
        await solvePair(
          {
            gram: joinBlocks(mine.x.rows, starts[b + 1]! - starts[b]!, own[a]!, across, own[b]!),
            first: mine.x.rows,
            cost: Float64Array.from(pick, (i) => problem.cost[i]!),
            fold: Uint8Array.from(pick, (i) => problem.fold[i]!),
            settings: problem.settings,
          },
          pause,
        ),
      )
    }
    problem.onProgress?.(results.length / pairCount(classes))
  }
  return results
}

/** Kernel values of a pair, `[n, n]` with the first class's rows first, from its blocks. */
function joinBlocks(
  na: number,
  nb: number,
  aa: Float32Array,
  across: { readonly data: Float32Array; readonly at: number; readonly stride: number },
  bb: Float32Array,
): Float32Array {
  const n = na + nb
  const out = new Float32Array(n * n)
  for (let i = 0; i < na; i++) {
    out.set(aa.subarray(i * na, (i + 1) * na), i * n)
    const from = across.at + i * across.stride
    out.set(across.data.subarray(from, from + nb), i * n + na)
    for (let j = 0; j < nb; j++) out[(na + j) * n + i] = across.data[from + j]!
  }
  for (let j = 0; j < nb; j++) out.set(bb.subarray(j * nb, (j + 1) * nb), (na + j) * n + na)
  return out
}

function rowsOfPair(starts: Int32Array, a: number, b: number): Int32Array {
  const na = starts[a + 1]! - starts[a]!
  const n = na + starts[b + 1]! - starts[b]!
  return Int32Array.from({ length: n }, (_, k) => (k < na ? starts[a]! + k : starts[b]! + k - na))
}

/** Bytes of kernel values computed by one product: what onnxruntime hands over is copied into place. */
const blockBytes = 32 << 20

/** Pair after pair, its whole kernel matrix in memory if it fits, else the rows used last. */
async function fitSingly(problem: PairsProblem): Promise<PairResult[]> {
  const { starts, kernel, threads, signal, settings } = problem
  const classes = starts.length - 1
  const pause = turnTaker(signal, 'Training')
  const results: PairResult[] = []
  for (const [a, b] of pairs(classes)) {
    await pause()
    const pick = rowsOfPair(starts, a, b)
    const rows = classes === 2 ? problem.rows : pickKernelRows(problem.rows, pick)
    const n = pick.length
    const cost = Float64Array.from(pick, (i) => problem.cost[i]!)
    const fold = Uint8Array.from(pick, (i) => problem.fold[i]!)
    const first = starts[a + 1]! - starts[a]!
    if (n * n * 4 <= problem.plan.bytes) {
      const gram = new Float32Array(n * n)
      const step = Math.max(1, Math.floor(blockBytes / (4 * n)))
      for (let from = 0; from < n; from += step) {
        await pause()
        const block = await kernelBlock(kernelSlice(rows, from, Math.min(n, from + step)), rows, kernel, threads)
        gram.set(block, from * n)
      }
      results.push(await solvePair({ gram, first, cost, fold, settings }, pause))
    } else results.push(await solveByRows(rows, first, cost, fold, problem, pause))
    problem.onProgress?.(results.length / pairCount(classes))
  }
  return results
}

/** A pair whose kernel matrix does not fit. Shrinking would need rows that are not there, so all rows stay in sight. */
async function solveByRows(
  rows: KernelRows,
  first: number,
  cost: Float64Array,
  fold: Uint8Array,
  { kernel, plan, settings, threads }: PairsProblem,
  pause: Pause,
): Promise<PairResult> {
  const solve = async (part: KernelRows, positive: Uint8Array, partCost: Float64Array) => {
    const cache = new KernelCache(part, kernel, plan.bytes, threads)
    const solver = new PairSolver({ kernel: cache, positive, cost: partCost, ...settings, shrinking: false })
    while (!solver.advance(1000)) {
      if (solver.missing >= 0) await cache.fetch(solver.missing, solver.likely(64))
      await pause()
    }
    return solver.solution()
  }
  const n = cost.length
  const positive = Uint8Array.from({ length: n }, (_, i) => (i < first ? 1 : 0))
  const solution = await solve(rows, positive, cost)
  if (settings.folds === 0) return solution
  const decisions = new Float64Array(n)
  for (let f = 0; f < settings.folds; f++) {
    const all = [...cost.keys()]
    const inside = Int32Array.from(all.filter((i) => fold[i] !== f))
    const outside = Int32Array.from(all.filter((i) => fold[i] === f))
    const part = pickKernelRows(rows, inside)
    const held = pickKernelRows(rows, outside)
    const { coefficients, bias } = await solve(
      part,
      positive.filter((_, i) => fold[i] !== f),
      cost.filter((_, i) => fold[i] !== f),
    )
    const support = Int32Array.from([...coefficients.keys()].filter((s) => coefficients[s] !== 0))
    const supports = pickKernelRows(part, support)
    const step = Math.max(1, Math.floor(blockBytes / (4 * Math.max(1, support.length))))
    for (let from = 0; from < outside.length; from += step) {
      const to = Math.min(outside.length, from + step)
      const block = await kernelBlock(kernelSlice(held, from, to), supports, kernel, threads)
      for (let i = from; i < to; i++) {
        let sum = bias
        for (let s = 0; s < support.length; s++)
          sum += coefficients[support[s]!]! * block[(i - from) * support.length + s]!
        decisions[outside[i]!] = sum
      }
      await pause()
    }
  }
  return { ...solution, sigmoid: fitSigmoid(decisions, positive) }
}

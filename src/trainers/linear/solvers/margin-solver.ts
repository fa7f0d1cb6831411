import { throwIfAborted } from '../../../base/errors.js'
import type { WarmStart } from '../../contract.js'
import type { LossAlong, MarginLoss } from './margin-losses.js'
import { newtonDirection } from './newton.js'
import type { LinearSpace } from './space.js'

export interface SolveOptions {
  /** Relative distance from the smallest objective at which to stop. */
  readonly tolerance: number
  readonly maxIterations: number
  readonly penaliseBias: boolean
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((fraction: number) => void) | undefined
  /** Where to begin; default zero. */
  readonly start?: Float64Array | undefined
}

/** Where an earlier fit of the same rows ended, if there was one in the same space. */
export function warmStart(
  warm: WarmStart | undefined,
  space: LinearSpace,
  loss: MarginLoss,
): Pick<SolveOptions, 'start'> {
  const start = warm?.solution
  return start?.length === loss.columns * space.size ? { start } : {}
}

export interface Solution {
  readonly w: Float64Array
  /** Per block. */
  readonly objective: Float64Array
  readonly iterations: number
  readonly converged: boolean
}

/** Pairs kept of the steps made; with a preconditioner older ones tell nothing new. */
const memory = { plain: 10, preconditioned: 6 } as const

/** Most steps of conjugate gradients towards one Newton step. */
const maxConjugate = 250
/** float32 margins show no distance from the optimum below this share of the objective. */
const leastTolerance = 1e-7

interface Pair {
  readonly s: Float64Array
  readonly y: Float64Array
  /** Per block; 0 where the pair is not to be used. */
  readonly rho: Float64Array
}

/**
 * Minimises ½‖w‖² + loss(margins) by L-BFGS, every block with history and step length of its own but all blocks in the
 * same two matrix products a step. As margins are linear in w, a line search costs no product at all.
 *
 * A block has converged when ½‖gradient‖² (by strong convexity a bound on the distance from the optimum, and the
 * duality gap) is below `tolerance` times its objective, or when Newton's decrement, worked out by conjugate gradients,
 * is. The quasi-Newton decrement, which can be far too small where C makes the problem hard, only says when to look; if
 * the optimum is further away, the solver goes on by Newton steps.
 */
export async function solveLinear(space: LinearSpace, loss: MarginLoss, options: SolveOptions): Promise<Solution> {
  const { columns, blocks } = loss
  const { size } = space
  const perBlock = columns / blocks
  const pairs = space.preconditioner ? memory.preconditioned : memory.plain
  const w = options.start ? Float64Array.from(options.start) : new Float64Array(columns * size)
  const inner = (u: Float64Array, v: Float64Array, block: number): number => {
    let sum = 0
    for (let k = block * perBlock; k < (block + 1) * perBlock; k++) sum += space.inner(u, v, k)
    return sum
  }
  const addTo = (u: Float64Array, v: Float64Array, factor: number, block: number): void => {
    for (let at = block * perBlock * size, end = at + perBlock * size; at < end; at++) u[at]! += factor * v[at]!
  }
  /** The bias's part of an inner product, which the penalty leaves out when the bias is free. */
  const biasPart = (u: Float64Array, v: Float64Array, block: number): number => {
    if (options.penaliseBias) return 0
    let sum = 0
    for (let k = block * perBlock + 1; k <= (block + 1) * perBlock; k++) sum += u[k * size - 1]! * v[k * size - 1]!
    return sum
  }
  const z = options.start ? await space.margins(w) : new Float32Array(space.rows * columns)
  const derivative = new Float32Array(z.length)
  const along: LossAlong = {
    value: new Float64Array(blocks),
    slope: new Float64Array(blocks),
    curvature: new Float64Array(blocks),
  }
  loss.along(z, new Float32Array(z.length), new Float64Array(blocks), along, derivative)
  const objective = Float64Array.from(along.value, (v, b) => v + 0.5 * (inner(w, w, b) - biasPart(w, w, b)))
  let gradient = await space.gradient(w, derivative)
  const history: Pair[] = []
  const calm = new Uint8Array(blocks)
  const stalled = new Uint8Array(blocks)
  /** Blocks that do not move: for good, or until the others are ready for Newton's steps too. */
  const done = new Uint8Array(blocks)
  const away = new Float64Array(blocks).fill(Number.POSITIVE_INFINITY)
  let left = blocks
  let newton = false
  const finish = (b: number): void => {
    if (!done[b]) left--
    done[b] = 1
  }
  let iteration = 0
  for (; iteration < options.maxIterations; iteration++) {
    throwIfAborted(options.signal, 'Training')
    const slope0 = new Float64Array(blocks)
    const enough = objective.map((value) => options.tolerance * value)
    for (let b = 0; b < blocks; b++) {
      if (done[b]) continue
      const bound = 0.5 * inner(gradient, gradient, b)
      if (bound > enough[b]!) continue
      away[b] = bound
      finish(b)
    }
    if (left === 0 && !newton) {
      newton = true
      stalled.fill(0)
      for (let b = 0; b < blocks; b++) if (away[b]! > enough[b]!) done[b] = 0
      left = done.filter((d) => d === 0).length
    }
    if (left === 0) break
    const geometry = { space, blocks, done, inner, addTo }
    let direction: Float64Array
    if (newton) {
      const found = await newtonDirection({
        ...geometry,
        loss,
        gradient,
        derivative,
        enough,
        maxSteps: Math.min(maxConjugate, options.maxIterations - iteration),
        signal: options.signal,
      })
      direction = found.direction
      iteration += found.steps
      for (let b = 0; b < blocks; b++) if (!done[b]) away[b] = found.away[b]!
    } else direction = await quasiNewton(history, gradient, loss.curvature(derivative), geometry)
    for (let b = 0; b < blocks; b++) {
      if (done[b]) continue
      slope0[b] = inner(gradient, direction, b)
      calm[b] = iteration > 0 && -0.5 * slope0[b]! <= enough[b]! ? calm[b]! + 1 : 0
      if ((newton ? away[b]! <= enough[b]! : calm[b]! >= 2) || slope0[b]! >= 0) {
        finish(b)
        direction.fill(0, b * perBlock * size, (b + 1) * perBlock * size)
      }
    }
    if (left === 0) continue
    const dz = await space.margins(direction)
    const before = Float64Array.from(objective)
    const step = search({ loss, z, dz, derivative, along, slope0, objective, done, first: iteration === 0 }, (b) => {
      const linear = inner(w, direction, b) - biasPart(w, direction, b)
      const square = inner(direction, direction, b) - biasPart(direction, direction, b)
      return [0.5 * (inner(w, w, b) - biasPart(w, w, b)), linear, square]
    })
    if (loss.order === 'columns') {
      const rows = z.length / columns
      for (let k = 0, at = 0; k < columns; k++) {
        const t = step[blocks === 1 ? 0 : k]!
        for (let i = 0; i < rows; i++, at++) z[at]! += t * dz[at]!
      }
    } else {
      for (let at = 0; at < z.length; )
        for (let k = 0; k < columns; k++, at++) z[at]! += step[blocks === 1 ? 0 : k]! * dz[at]!
    }
    const oldest = history.length === pairs ? history.shift() : undefined
    const moved = oldest?.s.fill(0) ?? new Float64Array(w.length)
    for (let b = 0; b < blocks; b++) {
      if (done[b]) continue
      addTo(moved, direction, step[b]!, b)
      addTo(w, moved, 1, b)
    }
    const next = await space.gradient(w, derivative)
    const change = oldest?.y ?? new Float64Array(w.length)
    for (let i = 0; i < change.length; i++) change[i] = next[i]! - gradient[i]!
    gradient = next
    const rho = new Float64Array(blocks)
    for (let b = 0; b < blocks; b++) {
      if (done[b]) continue
      const sy = inner(moved, change, b)
      if (sy > 1e-12 * inner(change, change, b) * 1e-3) rho[b] = 1 / sy
      // float32 margins leave no more to gain: from the gradient itself either, once the history is forgotten.
      stalled[b] = before[b]! - objective[b]! <= 1e-9 * Math.abs(before[b]!) ? stalled[b]! + 1 : 0
      if (stalled[b]! > 1) finish(b)
      else if (stalled[b] === 1) {
        rho[b] = 0
        for (const pair of history) pair.rho[b] = 0
        calm[b] = 0
      }
    }
    history.push({ s: moved, y: change, rho })
    options.onProgress?.(Math.min(0.99, (blocks - left) / blocks + iteration / options.maxIterations))
  }
  const known = Math.max(options.tolerance, leastTolerance)
  return { w, objective, iterations: iteration, converged: away.every((far, b) => far <= known * objective[b]!) }
}

interface Geometry {
  readonly space: LinearSpace
  readonly blocks: number
  readonly done: Uint8Array
  inner(u: Float64Array, v: Float64Array, b: number): number
  addTo(u: Float64Array, v: Float64Array, factor: number, b: number): void
}

/**
 * −H·gradient of every open block (Nocedal and Wright 2006, algorithm 7.4), beginning from the space's preconditioner
 * where it has one, scaled so that it fits the last pair.
 */
async function quasiNewton(
  history: readonly Pair[],
  gradient: Float64Array,
  curvature: Float64Array,
  { space, blocks, done, inner, addTo }: Geometry,
): Promise<Float64Array> {
  const q = new Float64Array(gradient.length)
  const alphas = new Float64Array(history.length * blocks)
  const length = gradient.length / blocks
  for (let b = 0; b < blocks; b++) {
    if (done[b]) continue
    addTo(q, gradient, -1, b)
    for (let h = history.length - 1; h >= 0; h--) {
      const { s, y, rho } = history[h]!
      if (rho[b] === 0) continue
      const alpha = rho[b]! * inner(s, q, b)
      alphas[h * blocks + b] = alpha
      addTo(q, y, -alpha, b)
    }
  }
  const last = history.at(-1)
  let direction: Float64Array = q
  let shaped: Float64Array | undefined = last?.y
  if (space.preconditioner)
    [direction, shaped] = (await space.preconditioner.apply(last ? [q, last.y] : [q], curvature)) as [
      Float64Array,
      Float64Array?,
    ]
  for (let b = 0; b < blocks; b++) {
    if (done[b]) continue
    const scale = last && last.rho[b]! > 0 ? 1 / (last.rho[b]! * inner(last.y, shaped!, b)) : 1
    if (scale !== 1) for (let at = b * length; at < (b + 1) * length; at++) direction[at]! *= scale
    for (const [h, { s, y, rho }] of history.entries()) {
      if (rho[b] === 0) continue
      addTo(direction, s, alphas[h * blocks + b]! - rho[b]! * inner(y, direction, b), b)
    }
  }
  for (let b = 0; b < blocks; b++) if (done[b]) direction.fill(0, b * length, (b + 1) * length)
  return direction
}

interface Search {
  readonly loss: MarginLoss
  readonly z: Float32Array
  readonly dz: Float32Array
  readonly derivative: Float32Array
  readonly along: LossAlong
  readonly slope0: Float64Array
  /** Updated. */
  readonly objective: Float64Array
  readonly done: Uint8Array
  readonly first: boolean
}

/**
 * Step lengths of all blocks at once, by Newton's method on the slope inside a bracket. Leaves `derivative` at the end
 * point.
 */
function search(s: Search, penalty: (b: number) => [number, number, number]): Float64Array {
  const { loss, along, slope0, objective, done } = s
  const { blocks } = loss
  const quadratic = Array.from({ length: blocks }, (_, b) => (done[b] ? ([0, 0, 0] as const) : penalty(b)))
  const t = new Float64Array(blocks)
  const low = new Float64Array(blocks)
  const high = new Float64Array(blocks).fill(Number.POSITIVE_INFINITY)
  const settled = Uint8Array.from(done)
  if (s.first) loss.along(s.z, s.dz, t, along, s.derivative, settled)
  for (let b = 0; b < blocks; b++) {
    if (done[b]) continue
    t[b] = s.first ? -slope0[b]! / Math.max(Number.MIN_VALUE, along.curvature[b]! + quadratic[b]![2]) : 1
  }
  for (let evaluation = 0; evaluation < 20; evaluation++) {
    loss.along(s.z, s.dz, t, along, s.derivative, settled)
    let open = false
    for (let b = 0; b < blocks; b++) {
      if (settled[b]) continue
      const [p0, p1, p2] = quadratic[b]!
      const slope = along.slope[b]! + p1 + t[b]! * p2
      if (Math.abs(slope) <= loss.searchTo * -slope0[b]!) {
        settled[b] = 1
        objective[b] = along.value[b]! + p0 + t[b]! * p1 + 0.5 * t[b]! * t[b]! * p2
        continue
      }
      open = true
      if (slope > 0) high[b] = t[b]!
      else low[b] = t[b]!
      const curvature = along.curvature[b]! + p2
      let next = curvature > 0 ? t[b]! - slope / curvature : Number.NaN
      const top = high[b]!
      if (!(next > low[b]! && next < top)) next = top === Number.POSITIVE_INFINITY ? t[b]! * 2 : (low[b]! + top) / 2
      else if (top === Number.POSITIVE_INFINITY) next = Math.min(next, 10 * t[b]!)
      t[b] = next
    }
    if (!open) return t
  }
  // The last evaluation was before the last move of the blocks still open.
  loss.along(s.z, s.dz, t, along, s.derivative, settled)
  for (let b = 0; b < blocks; b++) {
    if (settled[b]) continue
    const [p0, p1, p2] = quadratic[b]!
    objective[b] = along.value[b]! + p0 + t[b]! * p1 + 0.5 * t[b]! * t[b]! * p2
  }
  return t
}

import { throwIfAborted } from '../../../base/errors.js'
import type { MarginLoss } from './margin-losses.js'
import type { LinearSpace } from './space.js'

/**
 * Share of the squared residual at which a step that is to be walked is good enough; the next one begins from a better
 * place.
 */
const enoughResidual = 0.01
/** Share of what a block may be away from its optimum that the residual may leave unsaid. */
const enoughDoubt = 0.1

export interface NewtonProblem {
  readonly space: LinearSpace
  readonly loss: MarginLoss
  readonly gradient: Float64Array
  /** As {@link MarginLoss.along} wrote it where the gradient was taken. */
  readonly derivative: Float32Array
  readonly done: Uint8Array
  /** Per block: the distance from the optimum that counts as none. */
  readonly enough: Float64Array
  readonly maxSteps: number
  readonly signal?: AbortSignal | undefined
  inner(u: Float64Array, v: Float64Array, b: number): number
  addTo(u: Float64Array, v: Float64Array, factor: number, b: number): void
}

/**
 * Newton's direction of every open block by conjugate gradients, all blocks in the same two products a step; the
 * inverse of the Hessian is at most one in each direction that is penalised, so what the residual leaves unsaid is
 * bounded by its length.
 *
 * @returns the direction; per block how far the optimum is by the quadratic model, `½ gᵀH⁻¹g`, with the residual's
 * share added; and the steps taken
 */
export async function newtonDirection(
  problem: NewtonProblem,
): Promise<{ direction: Float64Array; away: Float64Array; steps: number }> {
  const { space, loss, gradient, derivative, done, enough, inner, addTo } = problem
  const { blocks } = loss
  const curvature = loss.curvature(derivative)
  const shaped = async (v: Float64Array): Promise<Float64Array> =>
    space.preconditioner ? (await space.preconditioner.apply([v], curvature))[0]! : Float64Array.from(v)
  const length = gradient.length / blocks
  const direction = new Float64Array(gradient.length)
  const residual = Float64Array.from(gradient, (g) => -g)
  const closed = Uint8Array.from(done)
  for (let b = 0; b < blocks; b++) if (done[b]) residual.fill(0, b * length, (b + 1) * length)
  let z = await shaped(residual)
  const search = Float64Array.from(z)
  const size = Float64Array.from({ length: blocks }, (_, b) => inner(residual, z, b))
  const first = Float64Array.from(size)
  const gain = new Float64Array(blocks)
  let steps = 0
  for (; steps < problem.maxSteps; steps++) {
    throwIfAborted(problem.signal, 'Training')
    for (let b = 0; b < blocks; b++) {
      const settled = gain[b]! > enough[b]! && size[b]! <= enoughResidual * first[b]!
      if (settled || 0.5 * size[b]! <= enoughDoubt * enough[b]!) closed[b] = 1
      if (closed[b]) search.fill(0, b * length, (b + 1) * length)
    }
    if (closed.every((c) => c === 1)) break
    const bent = await space.gradient(search, loss.bend(derivative, await space.margins(search)))
    for (let b = 0; b < blocks; b++) {
      if (closed[b]) continue
      const bend = inner(search, bent, b)
      if (!(bend > 0)) {
        closed[b] = 1
        continue
      }
      const t = size[b]! / bend
      addTo(direction, search, t, b)
      addTo(residual, bent, -t, b)
      gain[b]! += 0.5 * t * size[b]!
    }
    z = await shaped(residual)
    for (let b = 0; b < blocks; b++) {
      if (closed[b]) continue
      const now = inner(residual, z, b)
      const ratio = now / size[b]!
      size[b] = now
      for (let at = b * length; at < (b + 1) * length; at++) search[at] = z[at]! + ratio * search[at]!
    }
  }
  return { direction, away: gain.map((g, b) => g + 0.5 * Math.max(0, size[b]!)), steps }
}

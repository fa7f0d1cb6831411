import { throwIfAborted } from '../../../base/errors.js'
import { type Metric, QuasiNewton } from './quasi-newton.js'
import { dot } from './space.js'

/** ½‖w‖² over the first `penalised` numbers of a point plus a convex loss. */
export interface SmoothObjective {
  readonly size: number
  readonly penalised: number
  /** The loss at a point; writes the gradient of the whole objective. `curvature` is handed to the metric. */
  evaluate(point: Float64Array, gradient: Float64Array): Promise<{ loss: number; curvature: Float64Array }>
  readonly metric?: Metric | undefined
}

export interface SmoothOptions {
  /** Relative distance from the smallest objective at which to stop. */
  readonly tolerance: number
  readonly maxIterations: number
  /** Where to begin; default zero. */
  readonly start?: Float64Array | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((fraction: number) => void) | undefined
}

export interface SmoothSolution {
  readonly point: Float64Array
  readonly objective: number
  readonly iterations: number
  /** Evaluations of the objective, each of which passes over all rows. */
  readonly evaluations: number
  readonly converged: boolean
}

/**
 * A step ends where the slope has fallen below this share of what it began with: every evaluation is a pass over the
 * rows.
 */
const enoughSlope = 0.9
/** Share of the decrease estimated by the slope that a step must achieve. */
const enoughDecrease = 1e-4
/** Scores are float32: relative differences of two objectives below this say nothing. */
const noise = 1e-8
/** A step that gains less, relative, is the last but one. */
const leastGain = 1e-9
const maxTries = 20

/** The objective at a point, penalty included. */
interface Place {
  point: Float64Array
  gradient: Float64Array
  value: number
  curvature: Float64Array
}

/**
 * L-BFGS for objectives that are costly to evaluate. Ends when ½‖gradient‖² or, twice running, the quasi-Newton
 * decrement is below `tolerance` times the objective; or, not converged, when two steps running gain nothing that
 * float32 shows.
 */
export async function minimise(objective: SmoothObjective, options: SmoothOptions): Promise<SmoothSolution> {
  const { size, penalised, metric } = objective
  let evaluations = 0
  const evaluate = async (place: Place): Promise<void> => {
    throwIfAborted(options.signal, 'Training')
    evaluations++
    const { loss, curvature } = await objective.evaluate(place.point, place.gradient)
    place.value = loss + 0.5 * dot(place.point, place.point, 0, penalised)
    place.curvature = curvature
  }
  let [here, there] = [options.start, undefined].map(
    (start): Place => ({
      point: start ? Float64Array.from(start) : new Float64Array(size),
      gradient: new Float64Array(size),
      value: 0,
      curvature: new Float64Array(0),
    }),
  ) as [Place, Place]
  await evaluate(here)
  const history = new QuasiNewton(size)
  const direction = new Float64Array(size)
  let calm = 0
  let stalled = 0
  let iterations = 0
  let converged = false
  while (iterations < options.maxIterations) {
    const enough = options.tolerance * here.value
    const square = dot(here.gradient, here.gradient, 0, size)
    converged = 0.5 * square <= enough
    if (converged) break
    await history.direction(here.gradient, direction, metric, here.curvature)
    const slope = dot(here.gradient, direction, 0, size)
    calm = iterations > 0 && -0.5 * slope <= enough ? calm + 1 : 0
    converged = calm >= 2
    if (converged) break
    iterations++
    const first = iterations === 1 && !metric ? Math.min(1, 1 / Math.sqrt(square)) : 1
    const t = slope < 0 ? await search({ here, there, direction, slope, evaluate }, first) : 0
    const gain = here.value - there.value
    const least = leastGain * Math.abs(here.value)
    if (t === 0 || gain < -least) {
      // Nothing is downhill this way in float32: once more from the gradient alone.
      if (history.length === 0) break
      history.forget()
      continue
    }
    history.push(direction, t, here.gradient, there.gradient)
    ;[here, there] = [there, here]
    stalled = gain <= least ? stalled + 1 : 0
    if (stalled > 1) break
    if (stalled === 1 && calm === 0) history.forget()
    options.onProgress?.(Math.min(0.99, iterations / options.maxIterations))
  }
  return { point: here.point, objective: here.value, iterations, evaluations, converged }
}

interface Search {
  readonly here: Place
  /** Left at the end of the step. */
  readonly there: Place
  readonly direction: Float64Array
  readonly slope: number
  evaluate(place: Place): Promise<void>
}

/** Length of a step that fulfils both of Wolfe's conditions, by the slope's root on straight lines inside a bracket. */
async function search({ here, there, direction, slope, evaluate }: Search, first: number): Promise<number> {
  const size = direction.length
  let low = 0
  let lowSlope = slope
  let high = Number.POSITIVE_INFINITY
  let highSlope = 0
  for (let t = first, tries = 1; ; tries++) {
    for (let i = 0; i < size; i++) there.point[i] = here.point[i]! + t * direction[i]!
    await evaluate(there)
    const now = dot(there.gradient, direction, 0, size)
    const most = here.value + enoughDecrease * t * slope + noise * Math.abs(here.value)
    const long = now > -enoughSlope * slope || !(there.value <= most)
    const short = !long && now < enoughSlope * slope
    if ((!short && !long) || tries === maxTries) return t
    if (short) [low, lowSlope] = [t, now]
    else [high, highSlope] = [t, now]
    if (high === Number.POSITIVE_INFINITY) {
      const root = t - (now * t) / (now - slope)
      t = root > 1.5 * t && root < 10 * t ? root : 3 * t
    } else {
      const root = highSlope > 0 ? low - (lowSlope * (high - low)) / (highSlope - lowSlope) : Number.NaN
      const margin = 0.05 * (high - low)
      t = root > low + margin && root < high - margin ? root : (low + high) / 2
    }
  }
}

/** Accuracy at a number of training images. */
export interface CurvePoint {
  readonly rows: number
  readonly value: number
}

/** value ≈ a − b·rows^−c */
export interface CurveFit {
  /** What the curve tends to. */
  readonly a: number
  readonly b: number
  readonly c: number
  /** Root mean square of what the fit leaves. */
  readonly rmse: number
}

/** The fitted curve at `rows`. */
export const curveAt = ({ a, b, c }: CurveFit, rows: number): number => a - b * rows ** -c

const exponents = { from: 0.05, to: 3 } as const

/**
 * Best a ≤ `most` and b ≥ 0 for a given exponent: linear least squares, on the edge where the free solution lies
 * outside.
 */
function forExponent(points: readonly CurvePoint[], c: number, most: number): CurveFit {
  const n = points.length
  const u = points.map(({ rows }) => rows ** -c)
  const meanU = u.reduce((sum, x) => sum + x, 0) / n
  const meanV = points.reduce((sum, { value }) => sum + value, 0) / n
  let covariance = 0
  let variance = 0
  points.forEach(({ value }, i) => {
    covariance += (u[i]! - meanU) * (value - meanV)
    variance += (u[i]! - meanU) ** 2
  })
  let b = variance > 0 ? Math.max(0, -covariance / variance) : 0
  let a = meanV + b * meanU
  if (a > most) {
    a = most
    const square = u.reduce((sum, x) => sum + x * x, 0)
    b = Math.max(0, points.reduce((sum, { value }, i) => sum + (most - value) * u[i]!, 0) / square)
  }
  const square = points.reduce((sum, { value }, i) => sum + (value - a + b * u[i]!) ** 2, 0)
  return { a, b, c, rmse: Math.sqrt(square / n) }
}

/**
 * Fits a − b·n^−c, the power law that accuracies follow over the size of a training set (Cortes et al. 1994), by least
 * squares: a and b in closed form for each exponent, the exponent by a grid and golden-section search in [0.05, 3].
 * `most` bounds a (an accuracy never tends above 1); b is never negative.
 *
 * @returns undefined for fewer than three different sizes, which no three parameters can be read from
 */
export function fitLearningCurve(points: readonly CurvePoint[], most = 1): CurveFit | undefined {
  if (new Set(points.map(({ rows }) => rows)).size < 3) return undefined
  const steps = 60
  const ratio = (exponents.to / exponents.from) ** (1 / steps)
  let best = forExponent(points, exponents.from, most)
  for (let i = 1; i <= steps; i++) {
    const found = forExponent(points, exponents.from * ratio ** i, most)
    if (found.rmse < best.rmse) best = found
  }
  let low = Math.max(exponents.from, best.c / ratio)
  let high = Math.min(exponents.to, best.c * ratio)
  const golden = (Math.sqrt(5) - 1) / 2
  for (let i = 0; i < 60; i++) {
    const left = forExponent(points, high - golden * (high - low), most)
    const right = forExponent(points, low + golden * (high - low), most)
    if (left.rmse < right.rmse) high = right.c
    else low = left.c
    for (const found of [left, right]) if (found.rmse < best.rmse) best = found
  }
  return best
}

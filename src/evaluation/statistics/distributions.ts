/**
 * The distributions that tests and intervals need. Methods: Lanczos, Lentz' continued fractions, bisection for
 * inverses.
 */

const lanczos = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
]

/** Natural logarithm of the gamma function for x > 0. */
export function logGamma(x: number): number {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x)
  const y = x - 1
  let sum = lanczos[0]!
  for (let i = 1; i < 9; i++) sum += lanczos[i]! / (y + i)
  const t = y + 7.5
  return 0.5 * Math.log(2 * Math.PI) + (y + 0.5) * Math.log(t) - t + Math.log(sum)
}

const tiny = 1e-300
const precision = 1e-16

/** Regularised incomplete beta function I_x(a, b). */
export function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0
  if (x >= 1) return 1
  // The fraction converges fast only on this side of the mean.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a)
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a
  let c = 1
  let d = 1 - ((a + b) * x) / (a + 1)
  d = 1 / (Math.abs(d) < tiny ? tiny : d)
  let fraction = d
  for (let m = 1; m < 10_000; m++) {
    for (const step of [
      (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)),
      (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)),
    ]) {
      d = 1 + step * d
      d = 1 / (Math.abs(d) < tiny ? tiny : d)
      c = 1 + step / c
      if (Math.abs(c) < tiny) c = tiny
      fraction *= c * d
    }
    if (Math.abs(c * d - 1) < precision) break
  }
  return front * fraction
}

/** Regularised upper incomplete gamma function Q(a, x). */
export function upperGamma(a: number, x: number): number {
  if (x <= 0) return 1
  const front = Math.exp(a * Math.log(x) - x - logGamma(a))
  if (x < a + 1) {
    let term = 1 / a
    let sum = term
    for (let n = 1; n < 10_000; n++) {
      term *= x / (a + n)
      sum += term
      if (term < sum * precision) break
    }
    return 1 - front * sum
  }
  let b = x + 1 - a
  let c = 1 / tiny
  let d = 1 / b
  let fraction = d
  for (let n = 1; n < 10_000; n++) {
    const step = -n * (n - a)
    b += 2
    d = step * d + b
    d = 1 / (Math.abs(d) < tiny ? tiny : d)
    c = b + step / c
    if (Math.abs(c) < tiny) c = tiny
    fraction *= c * d
    if (Math.abs(c * d - 1) < precision) break
  }
  return front * fraction
}

/** P(|T| ≥ |t|) of Student's t with `freedom` degrees of freedom. */
export const studentTwoSided = (t: number, freedom: number): number =>
  Number.isFinite(t) ? incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5) : 0

/** P(X ≥ x) of chi-squared. */
export const chiSquaredTail = (x: number, freedom: number): number => upperGamma(freedom / 2, x / 2)

/** P(|Z| ≥ |z|) of the standard normal. */
export const normalTwoSided = (z: number): number => upperGamma(0.5, (z * z) / 2)

/** The x with `f(x) = target`, `f` rising on [low, high]. */
function invert(f: (x: number) => number, target: number, low: number, high: number): number {
  let a = low
  let b = high
  for (let i = 0; i < 200 && b - a > 0; i++) {
    const middle = (a + b) / 2
    if (middle === a || middle === b) break
    if (f(middle) < target) a = middle
    else b = middle
  }
  return (a + b) / 2
}

/** The z with P(Z ≤ z) = p. */
export function normalQuantile(p: number): number {
  if (p === 0.5) return 0
  if (p > 0.5) return -normalQuantile(1 - p)
  return -invert((z) => -normalTwoSided(z) / 2, -p, 0, 40)
}

/** The x with I_x(a, b) = p. */
export const betaQuantile = (p: number, a: number, b: number): number => invert((x) => incompleteBeta(x, a, b), p, 0, 1)

/** The t with P(T ≤ t) = p, p ≥ 0.5, of Student's t. */
export function studentQuantile(p: number, freedom: number): number {
  return p < 0.5 ? -studentQuantile(1 - p, freedom) : invert((t) => 1 - studentTwoSided(t, freedom) / 2, p, 0, 1e6)
}

/** Probability of exactly `k` heads in `n` fair throws. */
export const fairBinomial = (k: number, n: number): number =>
  Math.exp(logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1) - n * Math.LN2)

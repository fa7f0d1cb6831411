import type { Matrix } from '../../contract.js'
import { gemm } from '../../linalg/gemm.js'

/** Up to this many columns the system is written out and factored in float64. */
export const directColumns = 256

export interface RidgeSystem {
  /** `[rows, cols]` */
  readonly z: Matrix
  /** `[cols]`, not negative. */
  readonly ridge: Float64Array
  readonly threads: number
}

/**
 * Solves (ZᵀZ + diag(ridge)) w = b for several right sides. A column that is zero in both gets weight 0.
 *
 * @param b `[sides, cols]`
 * @param onStep called once a step with a rough fraction of the work; throws to stop
 * @returns `[sides, cols]` and the number of steps (0 for a direct solution)
 */
export async function solveRidge(
  system: RidgeSystem,
  b: Float64Array,
  onStep: (fraction: number) => void,
  direct = system.z.cols <= directColumns,
): Promise<{ w: Float64Array; steps: number }> {
  const { z, ridge } = system
  const diagonal = Float64Array.from(ridge)
  for (let i = 0, at = 0; i < z.rows; i++) for (let j = 0; j < z.cols; j++, at++) diagonal[j]! += z.data[at]! ** 2
  const top = diagonal.reduce((a, v) => Math.max(a, v), 0)
  // Nothing varies there: any number solves it, and 0 is the smallest.
  const dead = diagonal.map((v) => (v <= 1e-14 * top ? 1 : 0))
  const right = b.map((v, at) => (dead[at % z.cols] ? 0 : v))
  if (direct) return { w: cholesky(z, ridge, dead, right, top), steps: 0 }
  return conjugateGradients(system, diagonal, dead, right, onStep)
}

function cholesky(z: Matrix, ridge: Float64Array, dead: Float64Array, b: Float64Array, top: number): Float64Array {
  const n = z.cols
  const a = new Float64Array(n * n)
  for (let r = 0; r < z.rows; r++) {
    const row = z.data.subarray(r * n, (r + 1) * n)
    for (let i = 0; i < n; i++) {
      const v = row[i]!
      if (v !== 0) for (let j = 0; j <= i; j++) a[i * n + j]! += v * row[j]!
    }
  }
  for (let i = 0; i < n; i++) a[i * n + i]! += dead[i] ? Math.max(top, 1) : ridge[i]!
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * n + j]!
      for (let k = 0; k < j; k++) sum -= a[i * n + k]! * a[j * n + k]!
      // A direction without variance: its weight comes out as nearly nothing.
      a[i * n + j] = i === j ? Math.sqrt(Math.max(sum, 1e-12 * Math.max(top, Number.MIN_VALUE))) : sum / a[j * n + j]!
    }
  }
  const w = Float64Array.from(b)
  for (let s = 0; s < w.length; s += n) {
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < i; k++) w[s + i]! -= a[i * n + k]! * w[s + k]!
      w[s + i]! /= a[i * n + i]!
    }
    for (let i = n - 1; i >= 0; i--) {
      for (let k = i + 1; k < n; k++) w[s + i]! -= a[k * n + i]! * w[s + k]!
      w[s + i]! /= a[i * n + i]!
    }
  }
  return w
}

const maxSteps = 500
/** Relative residual: what float32 products allow. */
const enough = 2e-6

/** All right sides at once, preconditioned by the diagonal; the two products a step are onnxruntime's. */
async function conjugateGradients(
  { z, ridge, threads }: RidgeSystem,
  diagonal: Float64Array,
  dead: Float64Array,
  b: Float64Array,
  onStep: (fraction: number) => void,
): Promise<{ w: Float64Array; steps: number }> {
  const n = z.cols
  const sides = b.length / n
  const w = new Float64Array(b.length)
  const r = Float64Array.from(b)
  const p = new Float64Array(b.length)
  const rho = new Float64Array(sides)
  const first = new Float64Array(sides)
  const inverse = diagonal.map((v, j) => (dead[j] ? 0 : 1 / v))
  const precondition = (s: number): number => {
    let sum = 0
    for (let j = 0, at = s * n; j < n; j++, at++) sum += r[at]! * r[at]! * inverse[j]!
    return sum
  }
  for (let s = 0; s < sides; s++) {
    rho[s] = precondition(s)
    first[s] = rho[s]!
    for (let j = 0, at = s * n; j < n; j++, at++) p[at] = r[at]! * inverse[j]!
  }
  let steps = 0
  for (; steps < maxSteps; steps++) {
    let worst = 0
    for (let s = 0; s < sides; s++) if (first[s]! > 0) worst = Math.max(worst, rho[s]! / first[s]!)
    onStep(Math.min(1, worst > 0 ? Math.log(worst) / (2 * Math.log(enough)) : 1))
    if (worst <= enough * enough) break
    const along = await gemm({ data: Float32Array.from(p), rows: sides, cols: n }, z, { transB: true, threads })
    const { data } = await gemm(along, z, { threads })
    for (let s = 0; s < sides; s++) {
      // A side that is done stays as it is: further steps would only add rounding.
      if (rho[s]! <= enough * enough * first[s]!) {
        p.fill(0, s * n, (s + 1) * n)
        continue
      }
      let curvature = 0
      for (let j = 0, at = s * n; j < n; j++, at++) curvature += p[at]! * (data[at]! + ridge[j]! * p[at]!)
      const step = curvature > 0 ? rho[s]! / curvature : 0
      for (let j = 0, at = s * n; j < n; j++, at++) {
        w[at]! += step * p[at]!
        r[at]! -= dead[j] ? 0 : step * (data[at]! + ridge[j]! * p[at]!)
      }
      const next = precondition(s)
      const keep = next / rho[s]!
      rho[s] = step > 0 ? next : 0
      for (let j = 0, at = s * n; j < n; j++, at++) p[at] = r[at]! * inverse[j]! + keep * p[at]!
    }
  }
  return { w, steps }
}

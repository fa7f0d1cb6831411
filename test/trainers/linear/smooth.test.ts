import { describe, expect, it } from '@jest/globals'
import { QuasiNewton } from '../../../src/trainers/linear/solvers/quasi-newton.js'
import { minimise, type SmoothObjective } from '../../../src/trainers/linear/solvers/smooth-solver.js'
import { softmaxObjective } from '../../../src/trainers/linear/solvers/softmax-objective.js'
import { clusters } from '../data.js'

const classes = 5

/** The same objective in plain float64 loops. */
function plainly(
  set: ReturnType<typeof clusters>,
  cost: Float64Array,
  point: Float64Array,
  bias: Float64Array,
): number {
  const { data, rows, cols } = set.x
  let sum = 0
  for (let j = 0; j < classes * cols; j++) sum += 0.5 * point[j]! ** 2
  for (let i = 0; i < rows; i++) {
    const z = Array.from({ length: classes }, (_, k) => {
      let score = bias[k]!
      for (let j = 0; j < cols; j++) score += data[i * cols + j]! * point[k * cols + j]!
      return score
    })
    sum += cost[i]! * (Math.log(z.reduce((s, v) => s + Math.exp(v), 0)) - z[set.y[i]!]!)
  }
  return sum
}

describe('softmaxObjective', () => {
  const set = clusters(200, 40, classes)
  const cost = Float64Array.from({ length: 200 }, (_, i) => 1 + (i % 3))
  const point = Float64Array.from({ length: classes * 41 }, (_, i) => 0.3 * Math.sin(1.7 * i))

  it('has the value and the gradient of plain loops, in one block of rows or in many', async () => {
    for (const bytes of [1 << 20, 7 * 4 * classes]) {
      const problem = await softmaxObjective(set.x, set.y, classes, cost, 1, bytes)
      const value = (at: Float64Array): number => plainly(set, cost, at, problem.bias(at))
      const gradient = new Float64Array(problem.size)
      const { loss } = await problem.evaluate(point, gradient)
      const penalty = 0.5 * point.subarray(0, problem.penalised).reduce((sum, w) => sum + w * w, 0)
      expect((loss + penalty) / value(point)).toBeCloseTo(1, 6)
      for (const i of [0, 17, 83, 199, 200, 204]) {
        const [up, down] = [Float64Array.from(point), Float64Array.from(point)]
        up[i]! += 1e-4
        down[i]! -= 1e-4
        expect(gradient[i]).toBeCloseTo((value(up) - value(down)) / 2e-4, 2)
      }
    }
  })

  it('has a symmetric metric that agrees with its own square', async () => {
    const { metric, size } = await softmaxObjective(set.x, set.y, classes, cost, 1)
    const curvature = Float64Array.from({ length: classes }, (_, k) => 0.1 + 0.05 * k)
    const [u, v] = [Math.sin, Math.cos].map((f) => Float64Array.from({ length: size }, (_, i) => f(i)))
    const inner = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0)
    const shaped = async (a: Float64Array): Promise<Float64Array> => {
      const copy = Float64Array.from(a)
      await metric!.shape(copy, curvature)
      return copy
    }
    expect(inner(u!, await shaped(v!)) / inner(v!, await shaped(u!))).toBeCloseTo(1, 4)
    expect((await metric!.square(Float32Array.from(u!), curvature)) / inner(u!, await shaped(u!))).toBeCloseTo(1, 4)
  })
})

describe('QuasiNewton', () => {
  const size = 12
  const inverse = (steps: Float64Array[], changes: Float64Array[]): number[][] => {
    // BFGS on the inverse Hessian, written out (Nocedal and Wright 2006, equation 6.17), from the scaled unit matrix.
    const inner = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
      Array.from(a).reduce((sum, x, i) => sum + x * b[i]!, 0)
    const [s0, y0] = [steps.at(-1)!, changes.at(-1)!]
    const scale = inner(s0, y0) / inner(y0, y0)
    let h = Array.from({ length: size }, (_, i) => Array.from({ length: size }, (_, j) => (i === j ? scale : 0)))
    for (const [p, s] of steps.entries()) {
      const y = changes[p]!
      const rho = 1 / inner(s, y)
      const left = h.map((_, i) => h.map((_, j) => (i === j ? 1 : 0) - rho * s[i]! * y[j]!))
      const half = left.map((row) =>
        h.map((_, j) =>
          inner(
            row,
            h.map((r) => r[j]!),
          ),
        ),
      )
      h = half.map((row, i) => left.map((other, j) => inner(row, other) + rho * s[i]! * s[j]!))
    }
    return h
  }

  it('steps as BFGS does with the last six steps', async () => {
    const wave = (a: number): Float64Array => Float64Array.from({ length: size }, (_, i) => Math.sin(a * (i + 1)) + 0.1)
    const history = new QuasiNewton(size)
    const steps: Float64Array[] = []
    const changes: Float64Array[] = []
    for (let p = 0; p < 9; p++) {
      const direction = wave(p + 0.3)
      const before = wave(7 * p + 0.7)
      // A change that has the curvature of diag(1 … size) along the step.
      const after = before.map((g, i) => g + 0.5 * (i + 1) * direction[i]!)
      history.push(direction, 0.5, before, after)
      steps.push(direction.map((d) => 0.5 * d))
      changes.push(after.map((g, i) => g - before[i]!))
    }
    const gradient = wave(0.123)
    const out = new Float64Array(size)
    await history.direction(gradient, out, undefined, gradient)
    const h = inverse(steps.slice(-6), changes.slice(-6))
    for (let i = 0; i < size; i++)
      expect(out[i]).toBeCloseTo(-h[i]!.reduce((sum, x, j) => sum + x * gradient[j]!, 0), 4)
  })
})

describe('minimise', () => {
  /** ½‖p‖² + 50 log cosh(p₀ − 3) + a stiff quadratic. */
  const objective: SmoothObjective = {
    size: 3,
    penalised: 3,
    async evaluate(p, gradient) {
      const [a, b, c] = p as unknown as [number, number, number]
      gradient[0] = a + 50 * Math.tanh(a - 3)
      gradient[1] = b + 1000 * (b - c)
      gradient[2] = c + 1000 * (c - b) - 1
      return { loss: 50 * Math.log(Math.cosh(a - 3)) + 500 * (b - c) ** 2 - c, curvature: p }
    },
  }

  it('finds the minimum of a stiff function and says so', async () => {
    const { point, converged, evaluations } = await minimise(objective, { tolerance: 1e-8, maxIterations: 100 })
    expect(converged).toBe(true)
    expect(evaluations).toBeLessThan(60)
    expect(point[0]! + 50 * Math.tanh(point[0]! - 3)).toBeCloseTo(0, 2)
    expect(point[2]).toBeCloseTo(1001 / 2001, 3)
  })

  it('says that it did not converge where it was not given the steps', async () => {
    expect(await minimise(objective, { tolerance: 1e-12, maxIterations: 2 })).toMatchObject({
      converged: false,
      iterations: 2,
    })
  })
})

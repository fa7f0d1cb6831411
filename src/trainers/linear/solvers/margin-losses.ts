/** What a loss reports along a direction, per block of columns. */
export interface LossAlong {
  readonly value: Float64Array
  readonly slope: Float64Array
  readonly curvature: Float64Array
}

/** How margins lie in memory: `[rows, columns]`, or `[columns, rows]` where every column is worked on alone. */
export type MarginOrder = 'rows' | 'columns'

/**
 * A convex loss of margins `z = x·w + b`. Columns of one block share a step length: one block for all columns
 * (softmax), or one per column (one-vs-rest).
 */
export interface MarginLoss {
  readonly columns: number
  readonly blocks: number
  readonly order: MarginOrder
  /** How far a line search should reduce the slope: cheap losses search longer. */
  readonly searchTo: number
  /**
   * Value, slope and curvature at `z + step[block] · d`; writes the derivative by margin to `derivative`, laid out as
   * `z`. Blocks with a 1 in `skip` are left as they are.
   */
  along(
    z: Float32Array,
    d: Float32Array,
    step: Float64Array,
    out: LossAlong,
    derivative: Float32Array,
    skip?: Uint8Array | undefined,
  ): void
  /**
   * Mean over the rows of the second derivative by margin, `[columns]`, read off a derivative that {@link along} wrote.
   */
  curvature(derivative: Float32Array): Float64Array
  /**
   * Second derivative times a change of the margins, from a derivative that {@link along} wrote; both laid out as `z`.
   */
  bend(derivative: Float32Array, change: Float32Array): Float32Array
}

/** C · Σ weight · max(0, 1 − y z)², one column against the rest each; with one column, class 1 is positive. */
export function squaredHinge(y: Int32Array, columns: number, cost: Float64Array): MarginLoss {
  const first = columns === 1 ? 1 : 0
  return {
    columns,
    blocks: columns,
    order: 'columns',
    searchTo: 0.1,
    along(z, d, step, { value, slope, curvature }, derivative, skip) {
      const rows = y.length
      for (let k = 0; k < columns; k++) {
        if (skip?.[k]) continue
        const label = k + first
        const t = step[k]!
        let v = 0
        let s = 0
        let h = 0
        for (let i = 0, at = k * rows; i < rows; i++, at++) {
          const sign = y[i] === label ? 1 : -1
          const dk = d[at]!
          const slack = 1 - sign * (z[at]! + t * dk)
          if (slack > 0) {
            const c = cost[i]!
            const g = -2 * c * sign * slack
            v += c * slack * slack
            s += g * dk
            h += 2 * c * dk * dk
            derivative[at] = g
          } else derivative[at] = 0
        }
        value[k] = v
        slope[k] = s
        curvature[k] = h
      }
    },
    curvature(derivative) {
      const rows = y.length
      const mean = new Float64Array(columns)
      for (let k = 0; k < columns; k++) {
        for (let i = 0, at = k * rows; i < rows; i++, at++) if (derivative[at] !== 0) mean[k]! += 2 * cost[i]!
        mean[k]! /= rows
      }
      return mean
    },
    bend(derivative, change) {
      const rows = y.length
      return change.map((d, at) => (derivative[at] === 0 ? 0 : 2 * cost[at % rows]! * d))
    },
  }
}

/** C · Σ weight · −log softmax(z)[y]. */
export function softmaxLoss(y: Int32Array, columns: number, cost: Float64Array): MarginLoss {
  const p = new Float64Array(columns)
  return {
    columns,
    blocks: 1,
    order: 'rows',
    searchTo: 0.5,
    along(z, d, steps, { value, slope, curvature }, derivative) {
      const step = steps[0]!
      let v = 0
      let s = 0
      let h = 0
      for (let i = 0, at = 0; i < y.length; i++, at += columns) {
        const c = cost[i]!
        const label = y[i]!
        let top = Number.NEGATIVE_INFINITY
        for (let k = 0; k < columns; k++) {
          const value = z[at + k]! + step * d[at + k]!
          p[k] = value
          if (value > top) top = value
        }
        const own = p[label]!
        let sum = 0
        for (let k = 0; k < columns; k++) {
          const e = Math.exp(p[k]! - top)
          p[k] = e
          sum += e
        }
        v += c * (Math.log(sum) + top - own)
        const scale = 1 / sum
        let mean = 0
        let square = 0
        for (let k = 0; k < columns; k++) {
          const q = p[k]! * scale
          const dk = d[at + k]!
          mean += q * dk
          square += q * dk * dk
          derivative[at + k] = c * q
        }
        derivative[at + label] = c * (p[label]! * scale - 1)
        s += c * (mean - d[at + label]!)
        h += c * (square - mean * mean)
      }
      value[0] = v
      slope[0] = s
      curvature[0] = h
    },
    curvature(derivative) {
      const mean = new Float64Array(columns)
      for (let i = 0, at = 0; i < y.length; i++, at += columns) {
        const c = cost[i]!
        if (c === 0) continue
        for (let k = 0; k < columns; k++)
          mean[k]! += Math.abs(derivative[at + k]!) * (1 - Math.abs(derivative[at + k]!) / c)
      }
      return mean.map((sum) => sum / y.length)
    },
    bend(derivative, change) {
      const out = new Float32Array(change.length)
      for (let i = 0, from = 0; i < y.length; i++, from += columns) {
        const c = cost[i]!
        if (c === 0) continue
        let mean = 0
        for (let k = 0; k < columns; k++) {
          p[k] = derivative[from + k]! / c + (k === y[i] ? 1 : 0)
          mean += p[k]! * change[from + k]!
        }
        for (let k = 0; k < columns; k++) out[from + k] = c * p[k]! * (change[from + k]! - mean)
      }
      return out
    },
  }
}

/** C · Σ weight · log(1 + exp(∓z)) for two classes in one column; class 1 is positive. */
export function binaryLogistic(y: Int32Array, cost: Float64Array): MarginLoss {
  return {
    columns: 1,
    blocks: 1,
    order: 'rows',
    searchTo: 0.5,
    along(z, d, steps, { value, slope, curvature }, derivative) {
      const step = steps[0]!
      let v = 0
      let s = 0
      let h = 0
      for (let i = 0; i < y.length; i++) {
        const c = cost[i]!
        const sign = y[i] === 1 ? 1 : -1
        const m = sign * (z[i]! + step * d[i]!)
        const e = Math.exp(-Math.abs(m))
        v += c * (Math.log1p(e) + (m < 0 ? -m : 0))
        // Probability of the wrong class.
        const q = m >= 0 ? e / (1 + e) : 1 / (1 + e)
        derivative[i] = -sign * c * q
        s += derivative[i]! * d[i]!
        h += c * q * (1 - q) * d[i]! * d[i]!
      }
      value[0] = v
      slope[0] = s
      curvature[0] = h
    },
    curvature(derivative) {
      let sum = 0
      for (let i = 0; i < y.length; i++) {
        const slope = Math.abs(derivative[i]!)
        if (cost[i]! > 0) sum += slope * (1 - slope / cost[i]!)
      }
      return Float64Array.of(sum / y.length)
    },
    bend(derivative, change) {
      return change.map((d, i) => {
        const slope = Math.abs(derivative[i]!)
        return cost[i]! > 0 ? slope * (1 - slope / cost[i]!) * d : 0
      })
    },
  }
}

import type { ResizeFilter } from '../recipe/recipe.js'

/** One axis of a resize in samples: of its `targetLength` positions, `from … from + length` are wanted. */
export interface Axis {
  readonly sourceLength: number
  readonly targetLength: number
  readonly from: number
  readonly length: number
}

/**
 * One axis of a resize: output position i is the weighted sum of `counts[i]` source positions from `starts[i]` on, the
 * weights being `weights[i * taps …]` in 22-bit fixed point.
 */
export interface AxisTable {
  readonly starts: Int32Array
  readonly counts: Int32Array
  readonly weights: Int32Array
  /** Weights kept per output position. */
  readonly taps: number
  /** First source position that any output needs, and one past the last. */
  readonly first: number
  readonly end: number
}

/** Pillow's fixed point: 8 bits for the sample, 2 for overshoot, the rest for the weight. */
export const weightBits = 22

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI))

/** The filters by Pillow's definitions: half width in source pixels at scale 1, and the curve. */
const filters: Record<Exclude<ResizeFilter, 'nearest'>, { support: number; at: (x: number) => number }> = {
  box: { support: 0.5, at: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: {
    support: 1,
    at: (value) => {
      const x = Math.abs(value)
      if (x === 0) return 1
      return x >= 1 ? 0 : sinc(x) * (0.54 + 0.46 * Math.cos(x * Math.PI))
    },
  },
  bicubic: {
    support: 2,
    at: (value) => {
      // Keys' cubic with a = −0.5.
      const x = Math.abs(value)
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0
    },
  },
  lanczos: { support: 3, at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
}

/**
 * The table that takes `sourceLength` samples to the wanted positions. Follows Pillow's resampling (Resample.c): the
 * support grows with the shrink factor, weights are normalised in doubles and rounded half away from zero.
 */
export function axisTable(
  filter: Exclude<ResizeFilter, 'nearest'>,
  { sourceLength, targetLength, from, length }: Axis,
): AxisTable {
  const { support: unitSupport, at } = filters[filter]
  const scale = sourceLength / targetLength
  const widening = Math.max(scale, 1)
  const support = unitSupport * widening
  const taps = Math.ceil(support) * 2 + 1
  const starts = new Int32Array(length)
  const counts = new Int32Array(length)
  const weights = new Int32Array(length * taps)
  const row = new Float64Array(taps)
  const inverse = 1 / widening
  let first = sourceLength
  let end = 0
  for (let i = 0; i < length; i++) {
    const center = (from + i + 0.5) * scale
    const start = Math.max(0, Math.trunc(center - support + 0.5))
    const count = Math.min(sourceLength, Math.trunc(center + support + 0.5)) - start
    let sum = 0
    for (let k = 0; k < count; k++) {
      const weight = at((k + start - center + 0.5) * inverse)
      row[k] = weight
      sum += weight
    }
    for (let k = 0; k < count; k++) {
      const weight = (sum === 0 ? row[k]! : row[k]! / sum) * (1 << weightBits)
      weights[i * taps + k] = Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5)
    }
    starts[i] = start
    counts[i] = count
    first = Math.min(first, start)
    end = Math.max(end, start + count)
  }
  return { starts, counts, weights, taps, first, end }
}

/**
 * Pillow's nearest neighbour along one axis: the source position of each output position. The position is accumulated,
 * not multiplied, because Pillow's rounding errors do so too.
 */
export function nearestPositions({ sourceLength, targetLength, from, length }: Axis): Int32Array {
  const scale = sourceLength / targetLength
  const positions = new Int32Array(length)
  let position = scale * 0.5
  for (let i = 0; i < from + length; i++) {
    if (i >= from) positions[i - from] = Math.min(sourceLength - 1, Math.floor(position))
    position += scale
  }
  return positions
}

const maxCachedTables = 256
const cache = new Map<string, AxisTable>()

/** {@link axisTable}, cached: folders hold many images of few sizes. A new table replaces the oldest of 256. */
export function cachedAxisTable(filter: Exclude<ResizeFilter, 'nearest'>, axis: Axis): AxisTable {
  const { sourceLength, targetLength, from, length } = axis
  const key = `${filter}/${sourceLength}/${targetLength}/${from}/${length}`
  const known = cache.get(key)
  if (known) return known
  const table = axisTable(filter, axis)
  // Tables of huge shrinks hold megabytes and hardly recur.
  if (table.weights.length > 1 << 18) return table
  if (cache.size >= maxCachedTables) cache.delete(cache.keys().next().value!)
  cache.set(key, table)
  return table
}

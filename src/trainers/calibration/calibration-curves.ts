/**
 * Platt's sigmoid: slope a and offset b such that 1 / (1 + exp(a·score + b)) fits the labels, with Platt's target
 * correction, by Newton's method with backtracking (Lin, Lin and Weng 2007, which libsvm follows too).
 *
 * @param scores `[rows]`
 * @param positive 1 where the row is of the class
 * @returns `[a, b]`
 */
export function fitSigmoid(scores: Float64Array, positive: Uint8Array, weights?: Float64Array): Float64Array {
  let yes = 0
  let no = 0
  for (let i = 0; i < scores.length; i++) {
    if (positive[i]) yes += weights?.[i] ?? 1
    else no += weights?.[i] ?? 1
  }
  const high = (yes + 1) / (yes + 2)
  const low = 1 / (no + 2)
  let a = 0
  let b = Math.log((no + 1) / (yes + 1))
  const loss = (slope: number, offset: number): number => {
    let sum = 0
    for (let i = 0; i < scores.length; i++) {
      const t = positive[i] ? high : low
      const f = slope * scores[i]! + offset
      const value = f >= 0 ? t * f + Math.log1p(Math.exp(-f)) : (t - 1) * f + Math.log1p(Math.exp(f))
      sum += value * (weights?.[i] ?? 1)
    }
    return sum
  }
  let value = loss(a, b)
  for (let iteration = 0; iteration < 100; iteration++) {
    let h11 = 1e-12
    let h22 = 1e-12
    let h21 = 0
    let g1 = 0
    let g2 = 0
    for (let i = 0; i < scores.length; i++) {
      const w = weights?.[i] ?? 1
      const s = scores[i]!
      const f = a * s + b
      const p = f >= 0 ? Math.exp(-f) / (1 + Math.exp(-f)) : 1 / (1 + Math.exp(f))
      const curvature = w * p * (1 - p)
      h11 += s * s * curvature
      h22 += curvature
      h21 += s * curvature
      const slope = w * ((positive[i] ? high : low) - p)
      g1 += s * slope
      g2 += slope
    }
    if (Math.abs(g1) < 1e-5 && Math.abs(g2) < 1e-5) break
    const determinant = h11 * h22 - h21 * h21
    const da = -(h22 * g1 - h21 * g2) / determinant
    const db = -(-h21 * g1 + h11 * g2) / determinant
    const descent = g1 * da + g2 * db
    let step = 1
    for (; step >= 1e-10; step /= 2) {
      const next = loss(a + step * da, b + step * db)
      if (next < value + 1e-4 * step * descent) {
        a += step * da
        b += step * db
        value = next
        break
      }
    }
    if (step < 1e-10) break
  }
  return Float64Array.of(a, b)
}

/**
 * Isotonic regression by pooling adjacent violators: the non-decreasing curve with least squared error, as its knots.
 * Equal scores are one point.
 *
 * @returns x of the knots, ascending, then their y
 */
export function fitIsotonic(scores: Float64Array, positive: Uint8Array, weights?: Float64Array): Float64Array {
  const order = [...scores.keys()].sort((p, q) => scores[p]! - scores[q]!)
  interface Block {
    from: number
    to: number
    weight: number
    mean: number
  }
  const blocks: Block[] = []
  for (let k = 0; k < order.length; ) {
    const x = scores[order[k]!]!
    let weight = 0
    let sum = 0
    for (; k < order.length && scores[order[k]!] === x; k++) {
      const w = weights?.[order[k]!] ?? 1
      weight += w
      sum += w * positive[order[k]!]!
    }
    blocks.push({ from: x, to: x, weight, mean: sum / weight })
    while (blocks.length > 1 && blocks.at(-2)!.mean >= blocks.at(-1)!.mean) {
      const last = blocks.pop()!
      const before = blocks.at(-1)!
      before.mean = (before.mean * before.weight + last.mean * last.weight) / (before.weight + last.weight)
      before.weight += last.weight
      before.to = last.to
    }
  }
  const points = blocks.flatMap(({ from, to, mean }) =>
    from === to
      ? [[from, mean]]
      : [
          [from, mean],
          [to, mean],
        ],
  )
  return Float64Array.from([...points.map((p) => p[0]!), ...points.map((p) => p[1]!)])
}

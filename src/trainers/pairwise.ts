/** Pairs of classes in libsvm's order: (0,1), (0,2) …, (1,2) … */
export const pairCount = (classes: number): number => (classes * (classes - 1)) / 2

export function pairs(classes: number): [number, number][] {
  const list: [number, number][] = []
  for (let a = 0; a < classes; a++) for (let b = a + 1; b < classes; b++) list.push([a, b])
  return list
}

/**
 * One row's pair decisions (positive: the first class of the pair) to one score a class: the votes won, plus the summed
 * decisions squeezed into (−1/3, 1/3), which settle ties. scikit-learn's `decision_function_shape="ovr"`.
 */
export function voteScores(decisions: Float64Array, classes: number, out: Float32Array, at: number): void {
  const sums = new Float64Array(classes)
  const votes = new Float64Array(classes)
  for (let a = 0, p = 0; a < classes; a++) {
    for (let b = a + 1; b < classes; b++, p++) {
      const d = decisions[p]!
      sums[a]! += d
      sums[b]! -= d
      if (d > 0) votes[a]!++
      else votes[b]!++
    }
  }
  for (let c = 0; c < classes; c++) out[at + c] = votes[c]! + sums[c]! / (3 * (Math.abs(sums[c]!) + 1))
}

/**
 * Class probabilities from the pairs' probabilities: the minimum of Σ (r_ji p_i − r_ij p_j)², the second method of Wu, Lin and
 * Weng 2004, by their fixed-point iteration, which libsvm follows too.
 *
 * @param r `[classes, classes]`, r[i,j] the probability of i against j; the diagonal is not read
 */
export function couplePairs(r: Float64Array, classes: number, out: Float32Array, at: number): void {
  const k = classes
  const q = new Float64Array(k * k)
  for (let i = 0; i < k; i++) {
    for (let j = 0; j < k; j++) {
      if (j === i) continue
      q[i * k + i]! += r[j * k + i]! * r[j * k + i]!
      q[i * k + j] = -r[j * k + i]! * r[i * k + j]!
    }
  }
  const p = new Float64Array(k).fill(1 / k)
  const qp = new Float64Array(k)
  const enough = 0.005 / k
  for (let iteration = 0; iteration < Math.max(100, k); iteration++) {
    let pqp = 0
    for (let i = 0; i < k; i++) {
      let sum = 0
      for (let j = 0; j < k; j++) sum += q[i * k + j]! * p[j]!
      qp[i] = sum
      pqp += p[i]! * sum
    }
    let error = 0
    for (let i = 0; i < k; i++) error = Math.max(error, Math.abs(qp[i]! - pqp))
    if (error < enough) break
    for (let i = 0; i < k; i++) {
      const move = (pqp - qp[i]!) / q[i * k + i]!
      p[i]! += move
      pqp = (pqp + move * (move * q[i * k + i]! + 2 * qp[i]!)) / (1 + move) ** 2
      for (let j = 0; j < k; j++) {
        qp[j] = (qp[j]! + move * q[i * k + j]!) / (1 + move)
        p[j]! /= 1 + move
      }
    }
  }
  for (let c = 0; c < k; c++) out[at + c] = p[c]!
}

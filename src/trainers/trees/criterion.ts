export type Criterion = 'gini' | 'entropy'

/** Σ w·log2 w of class weights, minus that of the total: minus the weighted entropy. */
export const xlogx = (w: number): number => (w > 0 ? w * Math.log2(w) : 0)

/** Σ counts² or Σ counts · log2 counts: what sweeps keep up to date from row to row. */
export function sumOf(counts: Float64Array, criterion: Criterion): number {
  let sum = 0
  for (const w of counts) sum += criterion === 'gini' ? w * w : xlogx(w)
  return sum
}

/** What rows score together, from their {@link sumOf}, on the scale of a cut’s gain. */
export const scoreOf = (sum: number, total: number, criterion: Criterion): number =>
  criterion === 'gini' ? sum / total : sum - xlogx(total)

/**
 * How the kernel matrix of a one-against-one fit is held. Plain data: what a fit will need is known before it starts.
 */
export interface KernelPlan {
  /**
   * `strips`: the blocks of one class with all later ones at a time, every block computed once. `pairs`: the block of
   * one pair at a time. `rows`: as pairs, but pairs too large for memory keep only the kernel rows used last.
   */
  readonly mode: 'strips' | 'pairs' | 'rows'
  /** Most bytes of kernel values held at once. */
  readonly bytes: number
}

/** @param counts rows of every class, in order; @param budget bytes that kernel values may take */
export function planKernels(counts: readonly number[], budget: number): KernelPlan {
  const total = counts.reduce((sum, n) => sum + n, 0)
  let diagonal = 0
  let strip = 0
  let pair = 0
  let before = 0
  for (const [c, n] of counts.entries()) {
    diagonal += n * n
    strip = Math.max(strip, n * (total - before))
    before += n
    for (let d = c + 1; d < counts.length; d++) pair = Math.max(pair, (n + counts[d]!) ** 2)
  }
  // With two classes the pair is everything.
  const strips = counts.length === 2 ? pair * 4 : (diagonal + strip + pair) * 4
  if (counts.length > 2 && strips <= budget) return { mode: 'strips', bytes: strips }
  if (pair * 4 <= budget) return { mode: 'pairs', bytes: pair * 4 }
  return { mode: 'rows', bytes: budget }
}

import { averagePrecision, precisionRecallCurve, rankRows, rocAuc, rocCurve } from '../../evaluation/metrics/ranking.js'

/** A point of a curve: `[x, y]`, both in [0, 1]. */
export type Point = readonly [number, number]

/** A drawn curve and the area that its metric gives it. */
export interface Curve {
  readonly area: number
  readonly points: readonly Point[]
}

/** ROC and precision-recall of one class against the rest; a curve is missing where a side has no rows. */
export function oneAgainstRest(
  scores: ArrayLike<number>,
  positive: ArrayLike<number>,
  limit: number,
): { roc?: Curve | undefined; precisionRecall?: Curve | undefined } {
  const ranking = rankRows(scores, positive)
  const auc = rocAuc(ranking)
  const ap = averagePrecision(ranking)
  const point = ({ x, y }: { readonly x: number; readonly y: number }): Point => [x, y]
  const pr = ap === null ? [] : precisionRecallCurve(ranking).map(point)
  const first = pr[0]
  return {
    ...(auc === null ? {} : { roc: { area: auc, points: thinned(rocCurve(ranking).map(point), limit) } }),
    ...(ap === null || first === undefined
      ? {}
      : { precisionRecall: { area: ap, points: thinned([[0, first[1]], ...pr], limit) } }),
  }
}

/** At most `limit` points that keep the curve's shape: both ends, and between them one per stretch of equal length. */
export function thinned(points: readonly Point[], limit: number): Point[] {
  if (points.length <= limit) return [...points]
  const at = [0]
  for (let i = 1; i < points.length; i++) {
    const [x0, y0] = points[i - 1]!
    const [x1, y1] = points[i]!
    at.push(at[i - 1]! + Math.abs(x1 - x0) + Math.abs(y1 - y0))
  }
  const step = at[at.length - 1]! / (limit - 2)
  const kept: Point[] = [points[0]!]
  let next = step
  for (let i = 1; i < points.length - 1; i++) {
    if (at[i]! < next) continue
    kept.push(points[i]!)
    next = at[i]! + step
  }
  kept.push(points[points.length - 1]!)
  return kept
}

/** The mean of several ROC curves at `steps + 1` even false-positive rates (linear between points). */
export function meanCurve(curves: readonly (readonly Point[])[], steps = 50): Point[] {
  const mean = Array.from({ length: steps + 1 }, (_, i): Point => {
    const x = i / steps
    let sum = 0
    for (const curve of curves) sum += heightAt(curve, x)
    return [x, sum / curves.length]
  })
  return [[0, 0], ...mean]
}

/** The height at `x`, linear between neighbours; at a vertical step its upper end. */
function heightAt(curve: readonly Point[], x: number): number {
  let i = 0
  while (i + 1 < curve.length && curve[i + 1]![0] <= x) i++
  const [x0, y0] = curve[i]!
  const after = curve[i + 1]
  if (after === undefined || x0 >= x) return y0
  return y0 + ((after[1] - y0) * (x - x0)) / (after[0] - x0)
}

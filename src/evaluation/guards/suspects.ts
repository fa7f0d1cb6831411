/** An image whose label the out-of-fold probabilities contradict. */
export interface Suspect {
  readonly item: number
  /** Class index that the probabilities suggest. */
  readonly suggested: number
  /** Mean out-of-fold probability of its own label and of the suggested one. */
  readonly own: number
  readonly other: number
}

/**
 * Label suspects by confident learning (Northcutt, Jiang and Chuang 2021): a class's threshold is the mean probability
 * of that class over the images labelled so; an image is suspect when, among the classes whose threshold it reaches,
 * another than its label is the likeliest. Predictions of one item from several repeats are averaged. Most confident
 * first.
 *
 * @param items `[predictions]`, item of each out-of-fold prediction
 * @param probabilities `[predictions, classes]`
 * @param y `[items]`, labels
 */
export function labelSuspects(
  items: ArrayLike<number>,
  probabilities: ArrayLike<number>,
  classes: number,
  y: ArrayLike<number>,
): Suspect[] {
  const sums = new Map<number, { readonly p: Float64Array; count: number }>()
  for (let i = 0; i < items.length; i++) {
    let sum = sums.get(items[i]!)
    if (!sum) {
      sum = { p: new Float64Array(classes), count: 0 }
      sums.set(items[i]!, sum)
    }
    for (let k = 0; k < classes; k++) sum.p[k]! += probabilities[i * classes + k]!
    sum.count++
  }
  const thresholds = new Float64Array(classes)
  const members = new Float64Array(classes)
  for (const [item, { p, count }] of sums) {
    const own = y[item]!
    for (let k = 0; k < classes; k++) p[k]! /= count
    thresholds[own]! += p[own]!
    members[own]!++
  }
  for (let k = 0; k < classes; k++)
    thresholds[k] = members[k]! > 0 ? thresholds[k]! / members[k]! : Number.POSITIVE_INFINITY
  const found: Suspect[] = []
  for (const [item, { p }] of sums) {
    let best = -1
    for (let k = 0; k < classes; k++) {
      if (p[k]! >= thresholds[k]! && (best < 0 || p[k]! > p[best]!)) best = k
    }
    const own = y[item]!
    if (best >= 0 && best !== own) found.push({ item, suggested: best, own: p[own]!, other: p[best]! })
  }
  return found.sort((a, b) => b.other - b.own - (a.other - a.own) || a.item - b.item)
}

import { calibrationBins } from '../../evaluation/metrics/ranking.js'
import { meanCurve, oneAgainstRest } from './curves.js'
import type { ReportCandidate, ReportDataset, ReportOutcome } from './input.js'
import type { ClassRecord, CurveRecord, DetailRecord, MistakeRecord } from './record.js'

const curvePoints = 80
const calibrationBinCount = 10
/** With more classes than this, the curves shown are the mean and the worst classes. */
const curvesShown = 8
const worstShown = 4
export const mistakesShown = 24

/** Display names of one data set. */
export interface ShownNames {
  readonly classes: readonly string[]
  readonly ids: readonly string[]
}

/** Counts, curves and worst mistakes of one candidate's predictions. Rows without a label are left out. */
export function analyseCandidate(
  candidate: ReportCandidate,
  outcome: ReportOutcome,
  dataset: ReportDataset,
  shown: ShownNames,
): DetailRecord {
  const k = dataset.classes.length
  const entries: number[] = []
  for (let i = 0; i < outcome.rows.length; i++) if (dataset.labels[outcome.rows[i]!]! >= 0) entries.push(i)
  const confusion = Array.from({ length: k }, () => new Array<number>(k).fill(0))
  let right = 0
  for (const i of entries) {
    const label = dataset.labels[outcome.rows[i]!]!
    const predicted = outcome.predicted[i]!
    confusion[label]![predicted]!++
    if (label === predicted) right++
  }
  const curves = outcome.scores === undefined ? undefined : classCurves(outcome, dataset, shown, entries)
  const classes = shown.classes.map((name, c): ClassRecord => {
    const support = confusion[c]!.reduce((a, b) => a + b, 0)
    const called = confusion.reduce((sum, row) => sum + row[c]!, 0)
    const hits = confusion[c]![c]!
    const roc = curves?.areas[c]
    return {
      name,
      support,
      precision: called === 0 ? 0 : hits / called,
      recall: support === 0 ? 0 : hits / support,
      f1: support + called === 0 ? 0 : (2 * hits) / (support + called),
      rocAuc: roc?.roc,
      averagePrecision: roc?.ap,
    }
  })
  return {
    id: candidate.id,
    title: candidate.title,
    dataset: candidate.dataset,
    baseline: candidate.baseline,
    note: outcome.note,
    rows: entries.length,
    right,
    confusion,
    classes,
    roc: curves?.roc,
    precisionRecall: curves?.pr,
    ...(outcome.scores !== undefined && outcome.scoreKind === 'probability' && entries.length > 0
      ? { calibration: topCalibration(outcome, dataset, entries) }
      : {}),
    learningCurve: candidate.learningCurve,
    mistakes: worstMistakes(outcome, dataset, shown, entries),
  }
}

/** Confidence (largest probability) against being right. */
function topCalibration(outcome: ReportOutcome, dataset: ReportDataset, entries: readonly number[]) {
  const k = dataset.classes.length
  const confidence = Float64Array.from(entries, (i) => outcome.scores![i * k + outcome.predicted[i]!]!)
  const right = Uint8Array.from(entries, (i) => Number(outcome.predicted[i] === dataset.labels[outcome.rows[i]!]))
  const all = calibrationBins({ confidence, right }, calibrationBinCount)
  const bins = all.flatMap(({ from, to, rows, confidence, accuracy }) =>
    confidence === null || accuracy === null ? [] : [{ low: from, high: to, count: rows, confidence, accuracy }],
  )
  const gap = bins.reduce((sum, bin) => sum + bin.count * Math.abs(bin.confidence - bin.accuracy), 0)
  return { bins, error: gap / entries.length }
}

/** One-vs-rest curves; two classes need only the positive one's. */
function classCurves(
  outcome: ReportOutcome,
  dataset: ReportDataset,
  shown: ShownNames,
  entries: readonly number[],
): { roc: CurveRecord[]; pr: CurveRecord[]; areas: { roc?: number | undefined; ap?: number | undefined }[] } {
  const k = dataset.classes.length
  const found: { c: number; roc: CurveRecord | undefined; pr: CurveRecord | undefined }[] = []
  for (let c = 0; c < k; c++) {
    const scores = new Float32Array(entries.length)
    const positive = new Uint8Array(entries.length)
    entries.forEach((i, at) => {
      scores[at] = outcome.scores![i * k + c]!
      positive[at] = Number(dataset.labels[outcome.rows[i]!] === c)
    })
    const { roc, precisionRecall } = oneAgainstRest(scores, positive, curvePoints)
    const name = shown.classes[c]!
    found.push({ c, roc: roc && { name, ...roc }, pr: precisionRecall && { name, ...precisionRecall } })
  }
  const areas = found.map(({ roc, pr }) => ({
    roc: roc?.area,
    ap: pr?.area,
  }))
  const positive = dataset.positive === undefined ? -1 : dataset.classes.indexOf(dataset.positive)
  if (k === 2 && found[Math.max(positive, 0)]) {
    // The other class's curve says the same mirrored.
    const one = found[positive >= 0 ? positive : 1]!
    return { roc: one.roc ? [rounded(one.roc)] : [], pr: one.pr ? [rounded(one.pr)] : [], areas }
  }
  return {
    roc: chosen(found.flatMap(({ roc }) => roc ?? [])).map(rounded),
    pr: chosen(
      found.flatMap(({ pr }) => pr ?? []),
      false,
    ).map(rounded),
    areas,
  }
}

/** All curves of few classes, else the worst; before them, for ROC, the mean of all. */
function chosen(curves: readonly CurveRecord[], withMean = true): CurveRecord[] {
  if (curves.length === 0) return []
  const shown =
    curves.length <= curvesShown
      ? [...curves]
      : [...curves].sort((a, b) => a.area - b.area || a.name.localeCompare(b.name, 'en')).slice(0, worstShown)
  const area = curves.reduce((sum, curve) => sum + curve.area, 0) / curves.length
  if (!withMean) return shown
  return [{ name: 'mean of classes', area, points: meanCurve(curves.map((curve) => curve.points)) }, ...shown]
}

function rounded(curve: CurveRecord): CurveRecord {
  const round = (value: number): number => Math.round(value * 1e4) / 1e4
  return { ...curve, points: curve.points.map(([x, y]) => [round(x), round(y)]) }
}

/**
 * Wrong predictions, the most confident first; without probabilities, by the margin between the two classes' scores.
 */
function worstMistakes(
  outcome: ReportOutcome,
  dataset: ReportDataset,
  shown: ShownNames,
  entries: readonly number[],
): MistakeRecord[] {
  const k = dataset.classes.length
  const wrong: { i: number; margin: number }[] = []
  for (const i of entries) {
    const label = dataset.labels[outcome.rows[i]!]!
    const predicted = outcome.predicted[i]!
    if (label === predicted) continue
    const margin =
      outcome.scores === undefined ? 0 : outcome.scores[i * k + predicted]! - outcome.scores[i * k + label]!
    wrong.push({ i, margin })
  }
  wrong.sort((a, b) => b.margin - a.margin || a.i - b.i)
  const scaled = outcome.scores !== undefined && outcome.scoreKind === 'probability'
  return wrong.slice(0, mistakesShown).map(({ i }) => {
    const row = outcome.rows[i]!
    const label = dataset.labels[row]!
    const predicted = outcome.predicted[i]!
    return {
      row,
      id: shown.ids[row]!,
      label: shown.classes[label]!,
      predicted: shown.classes[predicted]!,
      confidence: scaled ? outcome.scores![i * k + predicted]! : null,
      labelConfidence: scaled ? outcome.scores![i * k + label]! : null,
    }
  })
}

import { z } from 'zod'
import { createRandom } from '../../base/random.js'
import type { Matrix, ModelState, TrainingSet } from '../contract.js'
import { pickRows } from '../linalg/gemm.js'
import { readConfig, readTensor, tensorOf } from '../state.js'
import { fitIsotonic, fitSigmoid } from './calibration-curves.js'

export type CalibrationKind = 'sigmoid' | 'isotonic'

/** Folds whose held-out scores a calibration is fitted on. */
export const calibrationFolds = 5

const configSchema = z.object({
  kind: z.enum(['sigmoid', 'isotonic']),
  classes: z.number().int().min(2),
  folds: z.number().int().nonnegative(),
})

/**
 * Maps each class's score to a probability, one against the rest, and divides by the sum (scikit-learn's
 * CalibratedClassifierCV with `ensemble=False`). Every curve is stored as its knots: a sigmoid as slope and offset, an
 * isotonic curve as points joined by straight lines.
 */
export class Calibration {
  constructor(
    readonly kind: CalibrationKind,
    readonly folds: number,
    /** Per class: `[slope, offset]`, or x and y of the knots one after the other. */
    readonly curves: readonly Float64Array[],
  ) {}

  /** `[rows, classes]` scores → probabilities of the same shape. */
  apply(scores: Float32Array): Float32Array {
    const classes = this.curves.length
    const out = new Float32Array(scores.length)
    for (let i = 0; i < scores.length; i += classes) {
      let sum = 0
      for (let c = 0; c < classes; c++) {
        const p = evaluate(this.kind, this.curves[c]!, scores[i + c]!)
        out[i + c] = p
        sum += p
      }
      for (let c = 0; c < classes; c++) out[i + c] = sum > 0 ? out[i + c]! / sum : 1 / classes
    }
    return out
  }

  save(): ModelState {
    return {
      config: { kind: this.kind, classes: this.curves.length, folds: this.folds },
      tensors: new Map(this.curves.map((curve, c) => [`calibration.${c}`, tensorOf([curve.length], curve)])),
    }
  }

  static load(state: ModelState): Calibration {
    const { kind, classes, folds } = readConfig(state, configSchema)
    const curves = Array.from({ length: classes }, (_, c) => readTensor(state, `calibration.${c}`, 'float64', [-1]))
    for (const curve of curves) {
      const fits = kind === 'sigmoid' ? curve.length === 2 : curve.length >= 2 && curve.length % 2 === 0
      if (!fits || !curve.every(Number.isFinite)) throw new RangeError('a calibration curve is damaged')
    }
    return new Calibration(kind, folds, curves)
  }
}

function evaluate(kind: CalibrationKind, curve: Float64Array, score: number): number {
  if (kind === 'sigmoid') {
    const t = curve[0]! * score + curve[1]!
    return t >= 0 ? Math.exp(-t) / (1 + Math.exp(-t)) : 1 / (1 + Math.exp(t))
  }
  const knots = curve.length / 2
  if (score <= curve[0]!) return curve[knots]!
  if (score >= curve[knots - 1]!) return curve[2 * knots - 1]!
  let low = 0
  let high = knots - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (curve[middle]! <= score) low = middle
    else high = middle
  }
  const span = curve[high]! - curve[low]!
  const share = span > 0 ? (score - curve[low]!) / span : 1
  return curve[knots + low]! * (1 - share) + curve[knots + high]! * share
}

/** What a fold's fit gives: scores of other rows. */
export type FoldScorer = (x: Matrix) => Promise<Float32Array>

/**
 * Fits a calibration on scores of rows that each were held out once (five stratified folds, fewer where a class has
 * fewer rows; a group stays in one fold). A class with a single row makes held-out scores impossible: then the scores
 * of the training rows themselves serve.
 *
 * @param fitFold fits everything, preprocessing included, on some of the rows
 */
export async function fitCalibration(
  kind: CalibrationKind,
  set: TrainingSet,
  seed: number,
  fitFold: (part: TrainingSet, fold: number, folds: number) => Promise<FoldScorer>,
): Promise<Calibration> {
  const classes = set.classes.length
  const folds = stratifiedFolds(set, calibrationFolds, seed)
  const count = folds.reduce((most, fold) => Math.max(most, fold + 1), 1)
  const scores = new Float32Array(set.x.rows * classes)
  for (let fold = 0; fold < count; fold++) {
    const inside: number[] = []
    const outside: number[] = []
    for (let i = 0; i < folds.length; i++) (count > 1 && folds[i] === fold ? outside : inside).push(i)
    const score = await fitFold(subset(set, inside), fold, count)
    const rows = count > 1 ? outside : inside
    const part = await score(pickRows(set.x, rows))
    for (const [k, row] of rows.entries()) scores.set(part.subarray(k * classes, (k + 1) * classes), row * classes)
  }
  return calibrationFrom(kind, scores, set, count)
}

/**
 * The curves that fit held-out scores.
 *
 * @param scores `[rows, classes]`
 */
export function calibrationFrom(
  kind: CalibrationKind,
  scores: Float32Array,
  set: Pick<TrainingSet, 'y' | 'classes' | 'weights'>,
  folds: number,
): Calibration {
  const classes = set.classes.length
  const curves = Array.from({ length: classes }, (_, c) => {
    const column = Float64Array.from(set.y, (_label, i) => scores[i * classes + c]!)
    const positive = Uint8Array.from(set.y, (label) => (label === c ? 1 : 0))
    return (kind === 'sigmoid' ? fitSigmoid : fitIsotonic)(column, positive, set.weights)
  })
  return new Calibration(kind, folds, curves)
}

/** Those rows of a training set. */
export function subset(set: TrainingSet, rows: readonly number[]): TrainingSet {
  return {
    x: pickRows(set.x, rows),
    y: Int32Array.from(rows, (i) => set.y[i]!),
    classes: set.classes,
    ...(set.weights ? { weights: Float64Array.from(rows, (i) => set.weights![i]!) } : {}),
    ...(set.groups ? { groups: rows.map((i) => set.groups![i] ?? null) } : {}),
    ...(set.ids ? { ids: rows.map((i) => set.ids![i]!) } : {}),
  }
}

/**
 * A fold number per row: rows (or whole groups) of each class are dealt out in shuffled order. The number of folds is
 * at most the rows (groups) of the smallest class, so that every fold's training part keeps every class.
 */
export function stratifiedFolds(set: TrainingSet, wanted: number, seed: number): Int32Array {
  const random = createRandom(seed).fork('folds')
  // A row without a group is a group of its own; a group counts for the class of its first row.
  const groups = new Map<string, number[]>()
  for (let i = 0; i < set.y.length; i++) {
    const key = set.groups?.[i] == null ? `row:${i}` : `group:${set.groups[i]}`
    const rows = groups.get(key)
    if (rows) rows.push(i)
    else groups.set(key, [i])
  }
  const byClass: number[][][] = set.classes.map(() => [])
  for (const rows of groups.values()) byClass[set.y[rows[0]!]!]!.push(rows)
  const folds = Math.min(wanted, ...byClass.map((list) => list.length))
  const result = new Int32Array(set.y.length)
  if (folds < 2) return result
  let next = 0
  for (const list of byClass) {
    for (const rows of random.shuffled(list)) {
      for (const row of rows) result[row] = next % folds
      next++
    }
  }
  return result
}

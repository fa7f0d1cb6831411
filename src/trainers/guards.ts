import { Fc7Error } from '../base/errors.js'
import type { Matrix, TrainingSet } from './contract.js'

const rowName = (row: number, ids?: readonly string[]): string =>
  ids?.[row] === undefined ? `row ${row}` : `row ${row} (${ids[row]})`

/**
 * Refuses a matrix whose size does not match its data, or that holds NaN or an infinity.
 *
 * @throws Fc7Error EMBEDDING_SHAPE, EMBEDDING_NOT_FINITE naming the first such row
 */
export function checkMatrix(x: Matrix, ids?: readonly string[]): void {
  if (x.cols < 1 || x.data.length !== x.rows * x.cols) {
    throw new Fc7Error(
      'EMBEDDING_SHAPE',
      `The embeddings hold ${x.data.length} numbers, not ${x.rows} rows of ${x.cols}.`,
      { hint: 'Extract them again, or check the imported file.' },
    )
  }
  const { data, cols } = x
  for (let i = 0; i < data.length; i++) {
    // x - x is 0 for every finite number and NaN for the rest.
    if (data[i]! - data[i]! !== 0) {
      const row = Math.floor(i / cols)
      throw new Fc7Error(
        'EMBEDDING_NOT_FINITE',
        `The embedding of ${rowName(row, ids)} holds ${data[i]} at position ${i % cols}.`,
        { hint: 'Leave that image out or extract it again; a trainer cannot learn from NaN or infinity.' },
      )
    }
  }
}

/**
 * Checks everything that any trainer relies on, in one place.
 *
 * @returns rows per class (weights not counted)
 * @throws Fc7Error TRAINING_EMPTY, TRAINING_ONE_CLASS, TRAINING_LABEL, TRAINING_WEIGHT, EMBEDDING_SHAPE,
 * EMBEDDING_NOT_FINITE
 */
export function checkTrainingSet(set: TrainingSet): Int32Array {
  if (set.x.rows === 0) {
    throw new Fc7Error('TRAINING_EMPTY', 'There are no rows to train on.', {
      hint: 'Check --split and that the images have labels.',
    })
  }
  checkMatrix(set.x, set.ids)
  if (set.y.length !== set.x.rows) {
    throw new Fc7Error('TRAINING_LABEL', `${set.x.rows} rows come with ${set.y.length} labels.`, {
      hint: 'Every row needs one label.',
    })
  }
  const counts = new Int32Array(set.classes.length)
  for (let i = 0; i < set.y.length; i++) {
    const label = set.y[i]!
    if (label < 0 || label >= counts.length) {
      throw new Fc7Error('TRAINING_LABEL', `The label of ${rowName(i, set.ids)} is ${label}, outside the classes.`, {
        hint: `There are ${counts.length} classes, numbered from 0.`,
      })
    }
    counts[label]!++
  }
  const present = [...counts.keys()].filter((c) => counts[c]! > 0)
  if (present.length < 2) {
    throw new Fc7Error('TRAINING_ONE_CLASS', `All rows belong to the class "${set.classes[present[0]!]}".`, {
      hint: 'A classifier needs at least two classes; check the labels or the split.',
    })
  }
  if (set.weights) {
    if (set.weights.length !== set.x.rows) {
      throw new Fc7Error('TRAINING_WEIGHT', `${set.x.rows} rows come with ${set.weights.length} weights.`, {
        hint: 'Every row needs one weight.',
      })
    }
    for (let i = 0; i < set.weights.length; i++) {
      if (!(set.weights[i]! > 0 && set.weights[i]! < Number.POSITIVE_INFINITY)) {
        throw new Fc7Error('TRAINING_WEIGHT', `The weight of ${rowName(i, set.ids)} is ${set.weights[i]}.`, {
          hint: 'Weights are positive and finite.',
        })
      }
    }
  }
  return counts
}

/**
 * Row weights with balanced classes: each row's weight times rows / (classes × weight of its class), scikit-learn's
 * `class_weight="balanced"`.
 */
export function balancedWeights(set: TrainingSet): Float64Array {
  const totals = new Float64Array(set.classes.length)
  let total = 0
  for (let i = 0; i < set.y.length; i++) {
    const w = set.weights?.[i] ?? 1
    totals[set.y[i]!]! += w
    total += w
  }
  const present = totals.reduce((n, t) => n + (t > 0 ? 1 : 0), 0)
  return Float64Array.from(set.y, (c, i) => ((set.weights?.[i] ?? 1) * total) / (present * totals[c]!))
}

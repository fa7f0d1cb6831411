import { createRandom } from '../../src/base/random.js'
import { type FitOptions, fitClassifier, predictedClasses } from '../../src/classifiers/classifier.js'
import type { ParamValue, Trainer, TrainingSet } from '../../src/trainers/contract.js'

const provenance = { backbone: 'generated', layer: 'fc7', recipe: 'none' }

/** Overlapping clusters, one a class. The clusters of one name have the same centres; `part` draws other rows. */
export function clusters(classes: number, perClass: number, cols: number, part = 0): TrainingSet {
  const centre = createRandom(`centres ${classes} ${cols}`)
  const centres = Array.from({ length: classes }, () => Array.from({ length: cols }, () => 2 * centre.normal()))
  const random = createRandom('clusters').fork(part)
  const rows = classes * perClass
  const y = Int32Array.from({ length: rows }, (_, i) => i % classes)
  const data = Float32Array.from(
    { length: rows * cols },
    (_, i) => centres[y[Math.floor(i / cols)]!]![i % cols]! + random.normal(),
  )
  const names = Array.from({ length: classes }, (_, c) => `class ${c}`)
  return { x: { data, rows, cols }, y, classes: names, ids: Array.from(y, (_, i) => `row ${i}`) }
}

/**
 * Small settings: the contract is about behaviour, not accuracy. Few rows make few steps an epoch, so nets take larger
 * ones.
 */
const small: Readonly<Record<string, Readonly<Record<string, ParamValue>>>> = {
  mlp: { max_iter: 30, learning_rate_init: 0.02, hidden_layer_sizes: '24', dropout: 0, validation_fraction: 0 },
  'random-forest': { n_estimators: 20 },
  'extra-trees': { n_estimators: 20 },
  'gradient-boosting': { max_iter: 20 },
}

export const learn = (trainer: Trainer, set: TrainingSet, options: Partial<FitOptions> = {}) =>
  fitClassifier({ trainer, set, seed: 1, provenance, params: small[trainer.id] ?? {}, ...options })

export const right = (scores: Float32Array, set: TrainingSet): number =>
  predictedClasses(scores, set.classes.length).filter((label, i) => label === set.y[i]).length

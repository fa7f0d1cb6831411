import { Fc7Error } from '../base/errors.js'
import type { Trainer } from './contract.js'
import { kernelSvm } from './kernel/kernel-svm.js'
import { lda } from './linear/lda.js'
import { linearSvm } from './linear/linear-svm.js'
import { logistic } from './linear/logistic.js'
import { nearestMean } from './linear/nearest-mean.js'
import { mlp } from './mlp/mlp.js'
import { knn } from './neighbours/knn.js'
import { mlRandomForest } from './reference/ml-random-forest.js'
import { mlSvm } from './reference/ml-svm.js'
import { decisionTree } from './trees/decision-tree.js'
import { gradientBoosting } from './trees/gradient-boosting.js'
import { extraTrees, randomForest } from './trees/random-forest.js'

/** Every trainer, in the order in which lists show them. */
export const trainers: readonly Trainer[] = [
  linearSvm,
  kernelSvm,
  logistic,
  randomForest,
  extraTrees,
  gradientBoosting,
  decisionTree,
  mlp,
  knn,
  nearestMean,
  lda,
  mlSvm,
  mlRandomForest,
]

/**
 * The trainer called `id`.
 *
 * @throws Fc7Error TRAINER_UNKNOWN with the list
 */
export function getTrainer(id: string): Trainer {
  const found = trainers.find((trainer) => trainer.id === id)
  if (found) return found
  throw new Fc7Error('TRAINER_UNKNOWN', `There is no trainer "${id}".`, {
    hint: `Trainers: ${trainers.map((trainer) => trainer.id).join(', ')}.`,
  })
}

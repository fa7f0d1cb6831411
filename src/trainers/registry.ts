import { Fc7Error } from '../base/errors.js'
import type { Trainer } from './contract.js'
import { decisionTree } from './decision-tree.js'
import { gradientBoosting } from './gradient-boosting.js'
import { kernelSvm } from './kernel-svm.js'
import { knn } from './knn.js'
import { lda } from './lda.js'
import { linearSvm } from './linear-svm.js'
import { logistic } from './logistic.js'
import { mlRandomForest } from './ml-random-forest.js'
import { mlSvm } from './ml-svm.js'
import { mlp } from './mlp.js'
import { nearestMean } from './nearest-mean.js'
import { extraTrees, randomForest } from './random-forest.js'

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

import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { fitClassifier } from '../../../src/classifiers/classifier.js'
import { calibrationFrom, stratifiedFolds } from '../../../src/trainers/calibration/calibration.js'
import { fitIsotonic, fitSigmoid } from '../../../src/trainers/calibration/calibration-curves.js'
import type { Model, Trainer } from '../../../src/trainers/contract.js'
import { getTrainer } from '../../../src/trainers/registry.js'
import { signalWhen } from '../../support/signals.js'
import { clusters, largestDifference, reference } from '../data.js'

interface Recorded {
  readonly method: 'sigmoid' | 'isotonic'
  readonly classes: number
  readonly labels: number[]
  readonly weights: number[] | null
  readonly held: number[][]
  readonly scores: number[][]
  readonly proba: number[][]
}

/** What scikit-learn made of the same scores (make_calibration.py). */
const recorded: Recorded[] = JSON.parse(
  readFileSync(new URL('../../fixtures/trainers/calibration.json', import.meta.url), 'utf8'),
)

describe('calibration', () => {
  it.each(recorded.map((entry) => [entry.method, entry.classes, entry.weights ? 'weighted' : 'plain', entry] as const))(
    'equals CalibratedClassifierCV: %s, %i classes, %s',
    (_method, classes, _weighted, { method, labels, weights, held, scores, proba }) => {
      const set = {
        y: Int32Array.from(labels),
        classes: Array.from({ length: classes }, (_, c) => `class ${c}`),
        ...(weights ? { weights: Float64Array.from(weights) } : {}),
      }
      const calibration = calibrationFrom(method, Float32Array.from(held.flat()), set, 5)
      const found = calibration.apply(Float32Array.from(scores.flat()))
      // scikit-learn fits the sigmoid by L-BFGS, which stops earlier than Newton's method.
      expect(largestDifference(found, proba.flat())).toBeLessThan(method === 'sigmoid' ? 1e-4 : 1e-6)
    },
  )

  it('fits single curves as scikit-learn does', () => {
    const { scores, labels, sigmoid, isotonic } = reference.curves
    const positive = Uint8Array.from(labels)
    expect(largestDifference(fitSigmoid(Float64Array.from(scores), positive), sigmoid)).toBeLessThan(1e-3)
    const knots = fitIsotonic(Float64Array.from(scores), positive)
    const n = knots.length / 2
    const at = (x: number): number => {
      const k = knots.subarray(0, n).findIndex((knot) => knot >= x)
      if (k < 0) return knots[2 * n - 1]!
      if (k === 0) return knots[n]!
      const share = (x - knots[k - 1]!) / (knots[k]! - knots[k - 1]!)
      return knots[n + k - 1]! * (1 - share) + knots[n + k]! * share
    }
    const grid = Array.from({ length: 41 }, (_, i) => -2 + i / 10)
    expect(largestDifference(grid.map(at), isotonic)).toBeLessThan(1e-6)
  })

  it('keeps groups in one fold and every class in every training part', () => {
    const set = clusters(90, 4, 3)
    const groups = Array.from(set.y, (_, i) => (i < 60 ? `patient ${Math.floor(i / 6)}` : null))
    const folds = stratifiedFolds({ ...set, groups }, 5, 3)
    expect(new Set(folds).size).toBe(5)
    for (let i = 0; i < 60; i++) expect(folds[i]).toBe(folds[i - (i % 6)])
  })

  it('is fitted on held-out rows: of noise it is never certain, however well the classifier knows it by heart', async () => {
    // Whitened rows with meaningless labels are separated perfectly by a classifier that saw them.
    const set = clusters(60, 80, 2)
    const shuffled = { ...set, y: set.y.map((_, i) => ((i * 7) % 2) ^ (i % 3 === 0 ? 1 : 0)) }
    const classifier = await fitClassifier({
      trainer: getTrainer('linear-svm'),
      set: shuffled,
      preprocess: 'pca-whiten:50',
      calibrate: 'sigmoid',
      provenance: { backbone: 'generated', layer: 'fc7', recipe: 'none' },
    })
    const proba = await classifier.predictScores(set.x)
    expect(proba.every((p) => p > 0.05 && p < 0.95)).toBe(true)
  })

  it.each(['knn', 'mlp'])('of %s stops while it scores the rows that a fold left out', async (id) => {
    const trainer = getTrainer(id)
    let fits = 0
    let scoring = false
    const signal = signalWhen(() => scoring)
    const watched: Trainer = {
      ...trainer,
      async fit(part, context) {
        fits++
        const model = await trainer.fit(part, context)
        const scores: Model['scores'] = async (x, options) => {
          scoring = true
          try {
            return await model.scores(x, options)
          } finally {
            // Whoever looks later, looks too late.
            scoring = false
          }
        }
        return Object.assign(Object.create(model) as Model, { scores })
      },
    }
    const fit = fitClassifier({
      trainer: watched,
      set: clusters(60, 4, 3),
      params: id === 'mlp' ? { max_iter: 1, hidden_layer_sizes: '4' } : {},
      calibrate: 'sigmoid',
      signal,
      provenance: { backbone: 'generated', layer: 'fc7', recipe: 'none' },
    })
    await expect(fit).rejects.toMatchObject({ code: 'INTERRUPTED' })
    expect(fits).toBe(2)
  })
})

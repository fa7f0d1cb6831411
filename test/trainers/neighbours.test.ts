import { describe, expect, it } from '@jest/globals'
import { predictedClasses } from '../../src/trainers/classifier.js'
import { knn } from '../../src/trainers/knn.js'
import type { LinearModel } from '../../src/trainers/linear/model.js'
import { nearestMean } from '../../src/trainers/nearest-mean.js'
import { resolveParams } from '../../src/trainers/params.js'
import { digits, iris, largestDifference, neighbours } from './data.js'

const sets = { iris: iris(), digits: digits() }

describe.each(['iris', 'digits'] as const)('on %s', (name) => {
  const { train, test } = sets[name]
  const classes = train.classes.length

  it.each([
    [1, 'uniform'],
    [1, 'distance'],
    [7, 'uniform'],
    [7, 'distance'],
  ])('knn equals KNeighborsClassifier: %i neighbours, %s', async (k, vote) => {
    const known = neighbours[name][`knn ${k} ${vote}`]
    const model = await knn.fit(train, { params: resolveParams(knn.params, { k, vote }), seed: 0, threads: 1 })
    const scores = await model.scores(test.x)
    expect([...predictedClasses(scores, classes)]).toEqual(known.predicted)
    // A squared distance is float32 to a part of the rows' squared length: 80 times the smallest distance on iris.
    const tolerance = name === 'iris' && vote === 'distance' ? 2e-3 : 1e-5
    expect(largestDifference(scores.subarray(0, known.proba.flat().length), known.proba.flat())).toBeLessThan(tolerance)
  })

  it('nearest-mean equals NearestCentroid', async () => {
    const known = neighbours[name]['nearest-mean']
    const model = (await nearestMean.fit(train, {
      params: resolveParams(nearestMean.params),
      seed: 0,
      threads: 1,
    })) as LinearModel
    expect(largestDifference(model.parts.weights, known.centroids.flat())).toBeLessThan(2e-6)
    expect([...predictedClasses(await model.scores(test.x), classes)]).toEqual(known.predicted)
  })
})

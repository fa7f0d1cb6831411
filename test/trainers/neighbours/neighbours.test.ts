import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../../src/base/random.js'
import { predictedClasses } from '../../../src/classifiers/classifier.js'
import { rowsOf } from '../../../src/trainers/linalg/gemm.js'
import type { LinearModel } from '../../../src/trainers/linear/model.js'
import { nearestMean } from '../../../src/trainers/linear/nearest-mean.js'
import { knn } from '../../../src/trainers/neighbours/knn.js'
import { resolveParams } from '../../../src/trainers/params.js'
import { signalWhen } from '../../support/signals.js'
import { digits, iris, largestDifference, neighbours } from '../data.js'

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
    const model = await knn.fit(train, {
      params: resolveParams(knn.params, { n_neighbors: k, weights: vote }),
      seed: 0,
      threads: 1,
    })
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

it('knn scores many rows, in several blocks, as it scores each of them', async () => {
  // Small whole numbers: products are exact, and there are ties to break.
  const random = createRandom('grid')
  const grid = (rows: number) => ({ data: Float32Array.from({ length: rows * 3 }, () => random.int(5)), rows, cols: 3 })
  const set = { x: grid(2000), y: Int32Array.from({ length: 2000 }, (_, i) => i % 4), classes: [...'abcd'] }
  const model = await knn.fit(set, { params: resolveParams(knn.params, { n_neighbors: 7 }), seed: 0, threads: 1 })
  // A block holds 4 Mi distances: 2,097 rows.
  const x = grid(4500)
  const together = await model.scores(x)
  let looks = 0
  const signal = signalWhen(() => ++looks > 2)
  await expect(model.scores(x, { signal })).rejects.toMatchObject({ code: 'INTERRUPTED' })
  expect(looks).toBe(3)
  for (let from = 0; from < x.rows; from += 500)
    expect(together.slice(4 * from, 4 * (from + 500))).toEqual(await model.scores(rowsOf(x, from, from + 500)))
})

it.each([knn, nearestMean])(
  '$id goes over the rows in blocks, tells of each and stops between them',
  async (trainer) => {
    // Rows of 1 Mi numbers make a block.
    const set = {
      x: { data: new Float32Array(6 << 19).fill(0.5), rows: 6, cols: 1 << 19 },
      y: Int32Array.of(0, 1, 0, 1, 0, 1),
    }
    set.x.data.fill(1, 0, 1 << 19)
    const context = { params: resolveParams(trainer.params), seed: 0, threads: 1 }
    const seen: number[] = []
    const model = await trainer.fit({ ...set, classes: ['a', 'b'] }, { ...context, onProgress: (f) => seen.push(f) })
    expect(seen).toEqual([1 / 3, 2 / 3, 1])
    if (trainer === knn)
      expect(largestDifference(model.save().tensors.get('rows')!.values as Float32Array, set.x.data)).toBe(0)
    else
      expect((model as LinearModel).parts.weights.slice((1 << 19) - 1, (1 << 19) + 1)).toEqual(
        Float32Array.of(2 / 3, 0.5),
      )
    const stop = new AbortController()
    const told = trainer.fit(
      { ...set, classes: ['a', 'b'] },
      { ...context, signal: stop.signal, onProgress: (fraction) => fraction > 0.5 && stop.abort() },
    )
    await expect(told).rejects.toMatchObject({ code: 'INTERRUPTED' })
  },
)

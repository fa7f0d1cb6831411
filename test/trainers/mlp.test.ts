import { describe, expect, it } from '@jest/globals'
import type { Params } from '../../src/trainers/contract.js'
import { epochsFor, mlp } from '../../src/trainers/mlp.js'
import { type RawParams, resolveParams } from '../../src/trainers/params.js'
import { accuracy, clusters, digits } from './data.js'

const params = (raw: RawParams = new Map()): Params => resolveParams(mlp.params, raw)

describe('mlp', () => {
  it('reads digits as well as a linear model does', async () => {
    const { train, test } = digits()
    // A third of the usual epochs, at steps four times as long: the same end, sooner.
    const model = await mlp.fit(train, { params: params({ epochs: 30, rate: 0.002 }), seed: 1, threads: 1 })
    expect(accuracy(await model.scores(test.x), test.y, 10)).toBeGreaterThan(0.95)
  })

  it('makes enough steps of few rows, and no more epochs than needed of many', () => {
    expect(epochsFor(0, 1)).toBe(300)
    expect(epochsFor(0, 17)).toBe(118)
    expect(epochsFor(0, 282)).toBe(20)
    expect(epochsFor(7, 1)).toBe(7)
  })

  it('learns sixty rows by its defaults', async () => {
    const set = clusters(60, 12, 3)
    const model = await mlp.fit(set, { params: params(), seed: 1, threads: 1 })
    expect(accuracy(await model.scores(set.x), set.y, 3)).toBeGreaterThan(0.9)
  })

  it('gives the same weights for the same seed, other weights for another', async () => {
    const set = clusters(90, 12, 3)
    const weights = async (seed: number) =>
      (await mlp.fit(set, { params: params({ epochs: 3, hidden: '8' }), seed, threads: 1 })).save().tensors
    const [a, b, c] = [await weights(1), await weights(1), await weights(2)]
    expect(a).toEqual(b)
    expect(a.get('weight0')).not.toEqual(c.get('weight0'))
  })

  it('scores the same after saving and loading, and rows sum to 1', async () => {
    const set = clusters(60, 10, 4)
    const model = await mlp.fit(set, { params: params({ hidden: '16,8', epochs: 4 }), seed: 3, threads: 1 })
    const scores = await model.scores(set.x)
    expect(await mlp.load(model.save()).scores(set.x)).toEqual(scores)
    expect(scores.subarray(0, 4).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5)
  })

  it('stops between runs when asked to', async () => {
    const stop = new AbortController()
    const fitting = mlp.fit(clusters(60, 10, 2), {
      params: params(),
      seed: 1,
      threads: 1,
      signal: stop.signal,
      onProgress: () => stop.abort(),
    })
    await expect(fitting).rejects.toMatchObject({ code: 'INTERRUPTED' })
  })
})

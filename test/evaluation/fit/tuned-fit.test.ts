import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../../src/base/random.js'
import { predictedClasses } from '../../../src/classifiers/classifier.js'
import { fitTuned, type TunedFitOptions } from '../../../src/evaluation/fit/tuned-fit.js'
import type { TrainingSet } from '../../../src/trainers/contract.js'
import { getTrainer } from '../../../src/trainers/registry.js'
import { clusters } from '../../trainers/data.js'

const provenance = { backbone: 'generated', layer: 'fc7', recipe: 'none' }
const tuned = (trainer: string, set: TrainingSet, options: Partial<TunedFitOptions> = {}) =>
  fitTuned({ trainer: getTrainer(trainer), set, provenance, seed: 3, tune: {}, ...options })

describe('fitTuned', () => {
  // Of neighbours of such spread rows many are of another class: one says little, twenty-five say much.
  const spread = clusters(240, 6, 2, 1, 4)

  it('fits the candidate that inner folds rank first, and keeps on record what it tried', async () => {
    const { info } = await tuned('knn', spread)
    const { trials, metric, innerFolds, search } = info.tuning!
    expect([metric, innerFolds, search]).toEqual(['accuracy', 3, 'grid'])
    const grids = getTrainer('knn').params.map((spec) => spec.grid?.length ?? 1)
    expect(trials).toHaveLength(grids.reduce((a, b) => a * b, 1))
    const means = trials.map((trial) => trial.mean!)
    trials.forEach((trial) => {
      expect(trial.mean).toBeCloseTo(
        trial.scores.reduce<number>((sum, score) => sum + score! / 3, 0),
        12,
      )
    })
    const best = trials[means.indexOf(Math.max(...means))]!
    expect([...info.params]).toEqual(best.params)
    expect(info.params.get('n_neighbors')).toBeGreaterThan(1)
    expect(info.trainedOn).toEqual(spread.ids ?? [])
  })

  it('ranks by another metric where one is asked for, the lower the better where it says so', async () => {
    const { info } = await tuned('knn', spread, { metric: 'log-loss' })
    const means = info.tuning!.trials.map((trial) => trial.mean!)
    expect([...info.params]).toEqual(info.tuning!.trials[means.indexOf(Math.min(...means))]!.params)
    expect(Math.min(...means)).toBeLessThan(Math.max(...means))
    await expect(tuned('linear-svm', spread, { metric: 'log-loss' })).rejects.toMatchObject({ code: 'TUNE_NO_SCORE' })
  })

  it('keeps what is set, and fits at once where nothing is left to search', async () => {
    const { info } = await tuned('knn', spread, { params: new Map([['n_neighbors', '1']]) })
    expect(info.params.get('n_neighbors')).toBe(1)
    expect(info.tuning!.trials.every(({ params }) => new Map(params).get('n_neighbors') === 1)).toBe(true)
    expect((await tuned('nearest-mean', spread)).info.tuning).toBeUndefined()
  })

  it('tests no row in whose group it trained, and no augmented view', async () => {
    // Every row four times over: a neighbour at distance 0 has the same meaningless label.
    const random = createRandom('meaningless')
    const labels = Array.from({ length: 60 }, () => random.int(2))
    const images = clusters(60, 6, 2, 2)
    const rows = Array.from({ length: 240 }, (_, i) => i % 60)
    const set = {
      x: {
        data: Float32Array.from(rows.flatMap((i) => [...images.x.data.subarray(6 * i, 6 * i + 6)])),
        rows: 240,
        cols: 6,
      },
      y: Int32Array.from(rows, (i) => labels[i]!),
      classes: ['a', 'b'],
    }
    const k1 = {
      params: new Map([['n_neighbors', '1']]),
      tune: { grids: new Map([['weights', ['uniform', 'distance']]]) },
    }
    const scores = async (options: Partial<TunedFitOptions>, own: TrainingSet): Promise<number[]> =>
      (await tuned('knn', own, { ...k1, ...options })).info.tuning!.trials[0]!.scores as number[]
    // A row is alone only where all four copies of it fell into one fold.
    for (const score of await scores({}, set)) expect(score).toBeGreaterThan(0.9)
    const grouped = { ...set, groups: rows.map((i) => `image ${i}`) }
    for (const score of await scores({}, grouped)) expect(score).toBeLessThan(0.8)
    // Sixty originals in three folds of about twenty: a share of so few rows is a multiple of 1/n for one n up to 22.
    const counted = await scores({ originals: new Set(Array(60).keys()) }, grouped)
    for (const score of counted)
      expect([18, 19, 20, 21, 22].some((n) => Math.abs(score * n - Math.round(score * n)) < 1e-9)).toBe(true)
  })

  it('uses the weights of rows in the fits', async () => {
    const set = clusters(200, 8, 2, 1, 0.5)
    const wrong = { ...set, y: set.y.map((c, i) => (i % 4 < 2 && i % 8 < 4 ? 1 - c : c)) }
    const weights = Float64Array.from({ length: 200 }, (_, i) => (i % 4 < 2 && i % 8 < 4 ? 1e-6 : 1))
    const search = async (own: TrainingSet) => tuned('logistic', own)
    const weighted = await search({ ...wrong, weights })
    const right = predictedClasses(await weighted.predictScores(set.x), 2).filter((c, i) => c === set.y[i]).length
    expect(right).toBeGreaterThan(190)
    // Every row is tested once: three quarters have the label that the heavy rows teach.
    for (const { mean } of weighted.info.tuning!.trials) expect(mean).toBeCloseTo(0.75, 1)
    expect((await search(wrong)).info.tuning!.trials[0]!.scores).not.toEqual(weighted.info.tuning!.trials[0]!.scores)
  })

  it('reports progress from 0 to 1, stops when told to within the search, and counts it in the time limit', async () => {
    const seen: number[] = []
    await tuned('logistic', spread, { onProgress: (fraction) => seen.push(fraction) })
    expect([...seen].sort((a, b) => a - b)).toEqual(seen)
    expect(seen[0]).toBeLessThan(0.2)
    expect(seen.at(-1)).toBeLessThanOrEqual(1)
    const stop = new AbortController()
    const stopped = tuned('logistic', spread, { signal: stop.signal, onProgress: () => stop.abort() })
    await expect(stopped).rejects.toMatchObject({ code: 'INTERRUPTED' })
    await expect(tuned('logistic', spread, { timeLimitSeconds: 1e-3 })).rejects.toMatchObject({ code: 'TIME_LIMIT' })
  })
})

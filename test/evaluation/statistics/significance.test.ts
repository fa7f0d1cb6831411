import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../../src/base/random.js'
import {
  chooseThreshold,
  clopperInterval,
  operatingPoint,
  positiveClass,
  wilsonInterval,
} from '../../../src/evaluation/metrics/operating-point.js'
import {
  chiSquaredTail,
  incompleteBeta,
  normalQuantile,
  studentQuantile,
  studentTwoSided,
} from '../../../src/evaluation/statistics/distributions.js'
import {
  bootstrapInterval,
  bootstrapResamples,
  percentileInterval,
} from '../../../src/evaluation/statistics/intervals.js'
import { correctedResampledT, friedman, holm, mcNemar } from '../../../src/evaluation/statistics/significance.js'

// Made by test/fixtures/evaluation/make_records.py with scipy.
const records = JSON.parse(readFileSync(join('test', 'fixtures', 'evaluation', 'tests.json'), 'utf8')) as {
  t: { d: number[]; share: number; statistic: number; p: number }[]
  mcnemar: { b: number; c: number; exact: number; mid: number }[]
  friedman: { v: number[][]; statistic: number; p: number; ranks: number[] }[]
  proportion: { h: number; n: number; wilson: [number, number]; exact: [number, number] }[]
  percentile: { v: number[]; ci: [number, number] }[]
  special: Record<'t' | 'chi2' | 'beta' | 'normal', number[][]>
  holm: { p: number[]; adjusted: number[] }[]
}
const close = (got: number | undefined, want: number | undefined): void =>
  expect(Math.abs(got! - want!)).toBeLessThan(1e-9 * Math.max(1, Math.abs(want!)))

describe('distributions equal scipy', () => {
  it('Student, chi-squared, beta, normal', () => {
    for (const [x, f, p] of records.special.t) close(studentTwoSided(x!, f!), p)
    for (const [x, f, p] of records.special.chi2) close(chiSquaredTail(x!, f!), p)
    for (const [x, a, b, p] of records.special.beta) close(incompleteBeta(x!, a!, b!), p)
    for (const [p, z] of records.special.normal) close(normalQuantile(p!), z)
  })
  it('the quantile undoes the tail', () => close(studentTwoSided(studentQuantile(0.975, 7), 7), 0.05))
})

describe('tests equal scipy', () => {
  it('corrected resampled t', () => {
    for (const r of records.t) {
      const got = correctedResampledT(r.d, r.share)
      close(got?.statistic, r.statistic)
      close(got?.p, r.p)
    }
    expect(correctedResampledT([0, 0, 0], 0.25)?.p).toBe(1)
    expect(correctedResampledT([0.1], 0.25)).toBeNull()
  })
  it('McNemar, exact and mid-p', () => {
    for (const r of records.mcnemar) {
      close(mcNemar(r.b, r.c).exact, r.exact)
      close(mcNemar(r.b, r.c).midP, Math.min(1, r.mid))
    }
    expect(mcNemar(0, 0).midP).toBe(1)
  })
  it('Friedman with and without ties', () => {
    for (const r of records.friedman) {
      const got = friedman(r.v)
      close(got?.statistic, r.statistic)
      close(got?.p, r.p)
      got?.meanRanks.forEach((rank, i) => {
        close(rank, r.ranks[i])
      })
    }
    expect(
      friedman([
        [1, 1, 1],
        [2, 2, 2],
      ])?.p,
    ).toBe(1)
  })
  it('Holm', () => {
    for (const r of records.holm)
      holm(r.p).forEach((p, i) => {
        close(p, r.adjusted[i])
      })
  })
})

describe('intervals', () => {
  it('Wilson and Clopper–Pearson equal scipy', () => {
    for (const r of records.proportion) {
      const [wilson, exact] = [wilsonInterval(r.h, r.n), clopperInterval(r.h, r.n)]
      close(wilson.low, r.wilson[0])
      close(wilson.high, r.wilson[1])
      close(exact.low, r.exact[0])
      close(exact.high, r.exact[1])
    }
  })
  it('percentiles equal numpy', () => {
    for (const r of records.percentile) {
      close(percentileInterval(r.v)?.low, r.ci[0])
      close(percentileInterval(r.v)?.high, r.ci[1])
    }
    expect(percentileInterval([null, null])).toBeNull()
    expect(percentileInterval([null, 1, 2])?.undefinedResamples).toBe(1)
  })
  it('resamples whole units, as many as there are', () => {
    const units = [0, 0, 1, 2, 2, 2]
    let firstDraws = 0
    bootstrapResamples(units, 400, 3, (weights) => {
      expect(weights[0]).toBe(weights[1])
      expect(weights[3]).toBe(weights[5])
      expect(weights[0]! + weights[2]! + weights[3]!).toBe(3)
      firstDraws += weights[0]!
    })
    expect(firstDraws / 400).toBeGreaterThan(0.85)
    expect(firstDraws / 400).toBeLessThan(1.15)
  })
  it('covers the truth about as often as it says', () => {
    const random = createRandom('coverage')
    let covered = 0
    for (let trial = 0; trial < 200; trial++) {
      const hits = Array.from({ length: 120 }, () => (random.next() < 0.8 ? 1 : 0))
      const interval = bootstrapInterval(
        hits.map((_, i) => i),
        (w) => hits.reduce((sum: number, hit, i) => sum + hit * w[i]!, 0) / hits.length,
        { seed: trial, resamples: 300 },
      )
      if (interval && interval.low <= 0.8 && interval.high >= 0.8) covered++
    }
    expect(covered / 200).toBeGreaterThan(0.88)
    expect(covered / 200).toBeLessThan(0.99)
  })
  it('the same seed gives the same interval', () => {
    const run = (seed: number) => bootstrapInterval([0, 1, 2, 3], (w) => w[0]! / 4, { seed, resamples: 50 })
    expect(run(5)).toEqual(run(5))
  })
})

describe('binary operating points', () => {
  const scores = [0.9, 0.8, 0.7, 0.6, 0.55, 0.4, 0.3, 0.2]
  const truth = [1, 1, 0, 1, 0, 1, 0, 0]
  it('counts at the default threshold', () => {
    const point = operatingPoint(scores, truth, () => 0.5)
    expect([point.sensitivity.hits, point.sensitivity.rows]).toEqual([3, 4])
    expect([point.specificity.hits, point.specificity.rows]).toEqual([2, 4])
    expect(point.positivePredictive.value).toBeCloseTo(0.6)
  })
  it('finds the point that keeps a sensitivity or a specificity', () => {
    expect(chooseThreshold(scores, truth, { kind: 'sensitivity', atLeast: 1 })).toBe(0.4)
    expect(chooseThreshold(scores, truth, { kind: 'specificity', atLeast: 0.75 })).toBe(0.6)
    expect(chooseThreshold(scores, truth, { kind: 'youden' })).toBe(0.8)
    expect(() => chooseThreshold(scores, truth, { kind: 'sensitivity', atLeast: 2 })).toThrow('share')
    // The highest score is a negative's: above it nothing is called positive, and the number survives JSON.
    const none = chooseThreshold([0.9, 0.1], [0, 1], { kind: 'specificity', atLeast: 1 })
    expect(none).toBeGreaterThan(0.9)
    expect(none).toBeLessThan(0.9001)
  })
  it('counts with each row’s own threshold', () => {
    const point = operatingPoint(scores, truth, (row) => (row < 4 ? 0.85 : 0.35))
    expect([point.sensitivity.hits, point.specificity.hits]).toEqual([2, 3])
  })
  it('infers the positive class only from well-known pairs', () => {
    const label = (...classes: string[]) => positiveClass(classes)?.label ?? null
    expect(label('no', 'yes')).toBe('yes')
    expect(label('Yes', 'NO')).toBe('Yes')
    expect(label('normal', 'pneumonia')).toBe('pneumonia')
    expect(label('positive', 'negative')).toBe('positive')
    expect(label('1', '0')).toBe('1')
    expect(label('ants', 'bees')).toBeNull()
    expect(label('no', 'yes', 'maybe')).toBeNull()
    expect(positiveClass(['ants', 'bees'], 'bees')).toEqual({ label: 'bees', source: 'given' })
    expect(() => positiveClass(['ants', 'bees'], 'wasps')).toThrow('wasps')
    expect(() => positiveClass(['a', 'b', 'c'], 'a')).toThrow('two classes')
  })
})

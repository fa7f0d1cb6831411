import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import type { ParamValue, TrainingSet } from '../../../src/trainers/contract.js'
import { kernelSvm } from '../../../src/trainers/kernel/kernel-svm.js'
import type { KernelSvmModel } from '../../../src/trainers/kernel/model.js'
import { couplePairs, pairIndex, pairs, Votes } from '../../../src/trainers/kernel/pairwise.js'
import { planKernels } from '../../../src/trainers/kernel/plan.js'
import { resolveParams } from '../../../src/trainers/params.js'
import { accuracy, clusters, digits, iris, largestDifference, takeRows } from '../data.js'

/** Recorded by test/fixtures/trainers/make_kernel_svm.py. */
const recorded = JSON.parse(readFileSync(new URL('../../fixtures/trainers/kernel-svm.json', import.meta.url), 'utf8'))
const sets = { iris: iris(), digits: digits() }

const fitted = (set: TrainingSet, params: Record<string, ParamValue>): Promise<KernelSvmModel> =>
  kernelSvm.fit(set, {
    params: resolveParams(kernelSvm.params, params),
    seed: 0,
    threads: 1,
  }) as Promise<KernelSvmModel>

const argmax = (scores: Float32Array, classes: number): number[] =>
  Array.from({ length: scores.length / classes }, (_, i) => {
    const row = scores.subarray(i * classes, (i + 1) * classes)
    return row.indexOf(Math.max(...row))
  })

describe.each(['iris', 'digits'] as const)('kernel-svm agrees with libsvm on %s', (name) => {
  const { train, test } = sets[name]
  const classes = train.classes.length

  it.each(['rbf', 'poly', 'linear', 'cosine'])('kernel %s', async (kernel) => {
    const known = recorded[name][kernel]
    const model = await fitted(train, { C: 2, kernel, coef0: kernel === 'poly' ? 1 : 0, tol: 1e-7 })
    expect((model.facts.objective as number) / known.objective).toBeCloseTo(1, 4)
    expect(model.facts.converged).toBe('yes')
    const decisions = await model.decisions(test.x)
    // libsvm writes the bias of its own float arithmetic; poly and linear decisions on iris go up to 30.
    expect(largestDifference(decisions.subarray(0, known.decision.flat().length), known.decision.flat())).toBeLessThan(
      5e-3,
    )
    expect(largestDifference(model.parts.bias, known.intercept)).toBeLessThan(1e-2)
    expect([...model.parts.counts]).toEqual(known.n_support)
    // With break_ties: libsvm alone would let the first class win a tie of votes.
    const own = argmax(await model.scores(test.x), classes)
    expect(own).toEqual(known.predicted)
    if (!known.dual) return
    // The support vectors are the very rows, in the same order, with the same coefficients.
    const rows = known.support.flatMap((i: number) => [
      ...train.x.data.subarray(i * train.x.cols, (i + 1) * train.x.cols),
    ])
    expect(largestDifference(model.parts.supports.data, rows)).toBe(0)
    if (kernel === 'rbf') expect(largestDifference(model.parts.coefficients, known.dual.flat())).toBeLessThan(1e-3)
  })

  it('probabilities: coupling from libsvm’s own decisions and sigmoids, and its own folds’ sigmoids', async () => {
    const known = recorded[name].probability
    const out = new Float32Array(classes)
    const r = new Float64Array(classes * classes)
    known.decision.forEach((decision: number[], i: number) => {
      for (const [p, [a, b]] of pairs(classes).entries()) {
        // scikit-learn hands the sigmoids' numbers out as libsvm has them, for decisions of libsvm's sign.
        const t = 1 / (1 + Math.exp(known.a[p] * decision[p]! + known.b[p]))
        r[a * classes + b] = Math.min(Math.max(t, 1e-7), 1 - 1e-7)
        r[b * classes + a] = 1 - r[a * classes + b]!
      }
      couplePairs(r, classes, out, 0)
      expect(largestDifference(out, known.proba[i])).toBeLessThan(1e-5)
    })
    const model = await fitted(train, { C: 2, probability: true, tol: 1e-4 })
    const scores = await model.scores(test.x)
    const flat: number[] = known.proba.flat()
    const apart = flat.reduce((sum, p, i) => sum + Math.abs(p - scores[i]!), 0) / flat.length
    // The folds are drawn at random on both sides.
    expect(apart).toBeLessThan(name === 'iris' ? 0.03 : 0.006)
    expect(accuracy(scores, test.y, classes)).toBeGreaterThan(name === 'iris' ? 0.93 : 0.97)
  })

  it('row weights scale C', async () => {
    const known = recorded[name].weighted
    const n = train.y.length
    const weights = Float64Array.from({ length: n }, (_, i) => 0.2 + (1.8 * i) / (n - 1))
    const model = await fitted({ ...train, weights }, { C: 2, tol: 1e-7 })
    const decisions = await model.decisions(test.x)
    expect(largestDifference(decisions.subarray(0, known.decision.flat().length), known.decision.flat())).toBeLessThan(
      2e-3,
    )
    expect([...model.parts.counts]).toEqual(known.n_support)
  })
})

describe('kernel-svm', () => {
  it('plans strips, single pairs, or a cache of rows by what fits', () => {
    const counts = [100, 100, 100]
    // Three diagonal blocks, one class against all three, one pair.
    expect(planKernels(counts, 1e9)).toEqual({ mode: 'strips', bytes: 4 * (3e4 + 3e4 + 4e4) })
    expect(planKernels(counts, 2e5)).toEqual({ mode: 'pairs', bytes: 160_000 })
    expect(planKernels(counts, 1e5)).toEqual({ mode: 'rows', bytes: 1e5 })
    expect(planKernels([300, 300], 1e9).mode).toBe('pairs')
  })

  it('finds the same machine with the whole matrix, without shrinking, and with a cache of rows', async () => {
    const { test } = sets.digits
    const train = takeRows(sets.digits.train, [...Array(600).keys()])
    const two = { ...train, y: train.y.map((c) => c % 2), classes: ['even', 'odd'] }
    const whole = await fitted(two, { C: 5, tol: 1e-5, probability: true })
    expect(whole.facts.kernel).toBe('pairs')
    for (const [params, mode] of [
      [{ shrinking: false }, 'pairs'],
      [{ cache_size: 1 }, 'rows'],
    ] as const) {
      const other = await fitted(two, { C: 5, tol: 1e-5, probability: true, ...params })
      expect(other.facts.kernel).toBe(mode)
      expect((other.facts.objective as number) / (whole.facts.objective as number)).toBeCloseTo(1, 7)
      expect(largestDifference(await other.decisions(test.x), await whole.decisions(test.x))).toBeLessThan(2e-4)
      expect(largestDifference(other.parts.sigmoids, whole.parts.sigmoids)).toBeLessThan(2e-3)
    }
  })

  it('does not depend on threads, and survives large constant features', async () => {
    const set = clusters(120, 30, 4)
    const alone = await fitted(set, {})
    const together = (await kernelSvm.fit(set, {
      params: resolveParams(kernelSvm.params),
      seed: 0,
      threads: 2,
    })) as KernelSvmModel
    expect(largestDifference(together.parts.coefficients, alone.parts.coefficients)).toBe(0)
    const far = Float32Array.from(set.x.data, (v, i) => (i % 30 < 3 ? 1e4 : v))
    const near = Float32Array.from(set.x.data, (v, i) => (i % 30 < 3 ? 0 : v))
    const machine = (data: Float32Array): Promise<KernelSvmModel> =>
      fitted({ ...set, x: { ...set.x, data } }, { gamma: 0.05 })
    const [a, b] = [await machine(far), await machine(near)]
    expect((a.facts.objective as number) / (b.facts.objective as number)).toBeCloseTo(1, 6)
  })

  it('stops inside the fit of one large pair', async () => {
    const set = clusters(1500, 20, 2, 1, 6)
    const signal = AbortSignal.timeout(60)
    const fit = kernelSvm.fit(set, {
      params: resolveParams(kernelSvm.params, { C: 1e4, tol: 1e-8, kernel: 'linear' }),
      seed: 0,
      threads: 1,
      signal,
    })
    await expect(fit).rejects.toMatchObject({ code: 'INTERRUPTED' })
  })

  it('votes as scikit-learn turns pair decisions into one score a class', () => {
    const out = new Float32Array(6)
    const votes = new Votes(3, 2)
    const zeros = new Float32Array(2)
    for (const [a, b, d] of [
      [0, 1, 0.5],
      [0, 2, -1],
      [1, 2, 2],
    ] as const)
      votes.add({ a, b, p: 0, bias: 0, first: Float32Array.of(7, d, 0), firstAt: 1, second: zeros, secondAt: 0 })
    votes.write(out, 0)
    // 0 beats 1, 2 beats 0, 1 beats 2: one vote each, settled by the sums −0.5, 1.5, −1. A decision of 0 is the second
    // class's vote.
    expect(largestDifference(out, [1 - 0.5 / 4.5, 1 + 1.5 / 7.5, 1 - 1 / 6, 0, 1, 2])).toBeLessThan(1e-6)
    expect(pairs(4).every(([a, b], p) => pairIndex(a, b, 4) === p)).toBe(true)
  })
})

import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { curveAt, fitLearningCurve } from '../../src/advisor/evidence/learning-curve.js'
import { hScore, logMe, regularisedHScore } from '../../src/advisor/evidence/transferability.js'

interface Case {
  readonly rows: number
  readonly cols: number
  readonly classes: number
  readonly x: readonly number[]
  readonly y: readonly number[]
  readonly logMe: number
  readonly hScore: number | null
  readonly regularisedHScore: number
}

const { cases } = JSON.parse(
  readFileSync(new URL('../fixtures/advisor/transferability.json', import.meta.url), 'utf8'),
) as { cases: readonly Case[] }

describe('scores of transferability', () => {
  it.each(cases)('$rows×$cols, $classes classes: as the published definitions', (one) => {
    const set = { ...one, x: Float32Array.from(one.x) }
    expect(logMe(set)).toBeCloseTo(one.logMe, 6)
    expect(regularisedHScore(set)).toBeCloseTo(one.regularisedHScore, 6)
    if (one.hScore === null) expect(hScore(set)).toBeUndefined()
    else expect(hScore(set)).toBeCloseTo(one.hScore, 6)
  })
})

describe('the learning curve', () => {
  const sizes = [50, 100, 200, 400, 800]

  it.each([
    { a: 0.93, b: 1.4, c: 0.5 },
    { a: 0.8, b: 3, c: 1.1 },
    { a: 0.99, b: 0.6, c: 0.2 },
  ])('recovers planted a = $a, b = $b, c = $c', (planted) => {
    const points = sizes.map((rows) => ({ rows, value: planted.a - planted.b * rows ** -planted.c }))
    const fit = fitLearningCurve(points)!
    expect(fit.a).toBeCloseTo(planted.a, 4)
    expect(fit.b).toBeCloseTo(planted.b, 3)
    expect(fit.c).toBeCloseTo(planted.c, 4)
    expect(curveAt(fit, 1600)).toBeCloseTo(planted.a - planted.b * 1600 ** -planted.c, 5)
  })

  it('stays below 1 and level where accuracy does not rise', () => {
    const steep = fitLearningCurve(sizes.map((rows, i) => ({ rows, value: 0.5 + 0.12 * i })))!
    expect(steep.a).toBeLessThanOrEqual(1)
    const level = fitLearningCurve(sizes.map((rows, i) => ({ rows, value: 0.7 - 0.01 * i })))!
    expect(level.b).toBe(0)
    expect(curveAt(level, 1600)).toBeCloseTo(0.68, 6)
  })

  it('is not fitted to fewer than three sizes', () => {
    expect(
      fitLearningCurve([
        { rows: 10, value: 0.5 },
        { rows: 20, value: 0.6 },
        { rows: 20, value: 0.7 },
      ]),
    ).toBeUndefined()
  })
})

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import {
  accuracy,
  classMetrics,
  cohenKappa,
  confusionOf,
  macroF1,
  matthews,
  meanClassAccuracy,
  weightedF1,
} from '../../../src/evaluation/metrics/confusion.js'
import {
  averagePrecision,
  brierRows,
  confidenceRows,
  expectedCalibrationError,
  logLossRows,
  rankRows,
  rocAuc,
  rocCurve,
  topKRows,
  weightedMean,
} from '../../../src/evaluation/metrics/ranking.js'

interface Case {
  name: string
  y: number[]
  p: number[][]
  w: number[] | null
  classes: number
  confusion: number[][]
  values: Record<string, number | null>
  precision: (number | null)[]
  recall: (number | null)[]
  f1: (number | null)[]
  auc: (number | null)[]
  ap: (number | null)[]
  roc: [number[], number[]][] | null
  macroAuc: number | null
}
// Made by test/fixtures/evaluation/make_records.py with scikit-learn.
const cases = JSON.parse(readFileSync(join('test', 'fixtures', 'evaluation', 'metrics.json'), 'utf8')) as Case[]

function close(got: number | null | undefined, want: number | null | undefined): void {
  if (want === null || want === undefined) expect(got).toBeNull()
  else expect(Math.abs(got! - want)).toBeLessThan(1e-9)
}

describe.each(cases.map((c) => [c.name, c] as const))('metrics equal scikit-learn: %s', (_, c) => {
  const p = Float64Array.from(c.p.flat())
  const predicted = c.p.map((row) => row.indexOf(Math.max(...row)))
  const w = c.w ?? undefined
  const confusion = confusionOf(c.y, predicted, c.classes, w)

  it('confusion and what follows from it', () => {
    expect(Array.from(confusion.cells)).toEqual(c.confusion.flat())
    const got: Record<string, number | null> = {
      accuracy: accuracy(confusion),
      meanClassAccuracy: meanClassAccuracy(confusion),
      macroF1: macroF1(confusion),
      weightedF1: weightedF1(confusion),
      cohenKappa: cohenKappa(confusion),
      matthews: matthews(confusion),
      logLoss: weightedMean(logLossRows(c.y, p, c.classes), w),
      brier: weightedMean(brierRows(c.y, p, c.classes), w),
      ece: expectedCalibrationError(confidenceRows(c.y, p, c.classes), 15, w),
    }
    for (const k of [1, 2, 3])
      if (`top${k}` in c.values) got[`top${k}`] = weightedMean(topKRows(c.y, p, c.classes, k), w)
    expect(Object.keys(got).sort()).toEqual(Object.keys(c.values).sort())
    for (const [name, value] of Object.entries(got)) close(value, c.values[name])
    classMetrics(confusion).forEach((one, k) => {
      close(one.precision, c.precision[k])
      close(one.recall, c.recall[k])
      close(one.f1, c.f1[k])
    })
  })

  it('ranking metrics of every class, ties included', () => {
    const aucs: number[] = []
    for (let k = 0; k < c.classes; k++) {
      const ranking = rankRows(
        c.p.map((row) => row[k]!),
        c.y.map((y) => y === k),
      )
      close(rocAuc(ranking, w), c.auc[k])
      close(averagePrecision(ranking, w), c.ap[k])
      aucs.push(rocAuc(ranking, w) ?? Number.NaN)
      if (c.roc && c.auc[k] !== null) {
        const points = rocCurve(ranking)
        expect(points.length).toBe(c.roc[k]![0].length)
        points.forEach((point, i) => {
          close(point.x, c.roc![k]![0][i])
          close(point.y, c.roc![k]![1][i])
        })
      }
    }
    if (c.macroAuc !== null) close(aucs.reduce((a, b) => a + b, 0) / aucs.length, c.macroAuc)
  })
})

describe('metrics without rows', () => {
  it('are null, never NaN', () => {
    const none = confusionOf([], [], 2)
    for (const metric of [accuracy, meanClassAccuracy, macroF1, weightedF1, cohenKappa, matthews])
      expect(metric(none)).toBeNull()
    expect(weightedMean([])).toBeNull()
    expect(rocAuc(rankRows([], []))).toBeNull()
    expect(expectedCalibrationError(confidenceRows([], [], 2))).toBeNull()
  })
})

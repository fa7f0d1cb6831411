import { formatValue } from '../data/format.js'
import type { ReportMetric } from '../data/input.js'
import type { ClassRecord, CurveRecord, DetailRecord, RankedRecord } from '../data/record.js'
import { ink, palette } from './charts.js'

/** Names go into the data as `#index`-free plain values; Vega never parses them as fields or expressions. */
const unit = { domain: [0, 1], nice: false }
const square = { width: 210, height: 210 }

/**
 * Intervals of all candidates on one metric, best on top; baselines would squeeze the scale and are left to the words.
 */
export function intervalSpec(ranking: readonly RankedRecord[], metric: ReportMetric): object | undefined {
  const percent = metric.format === 'percent'
  const values = ranking.flatMap((entry) => {
    const found = entry.values.find((value) => value.metric === metric.id)
    if (entry.baseline || found === undefined || !Number.isFinite(found.value)) return []
    return [
      {
        name: entry.title,
        value: found.value,
        low: found.low ?? found.value,
        high: found.high ?? found.value,
        first: entry.rank === 1 ? 1 : 0,
      },
    ]
  })
  if (values.length === 0) return undefined
  const y = {
    field: 'name',
    type: 'nominal',
    sort: null,
    title: null,
    axis: { ticks: false, domain: false, labelLimit: 330, labelFontSize: 12, labelPadding: 10, grid: false },
  }
  const x = (field: string) => ({
    field,
    type: 'quantitative',
    title: metric.title,
    scale: { zero: false, nice: true },
    axis: { format: percent ? '.0%' : '.2f' },
  })
  const colour = { condition: { test: 'datum.first > 0', value: ink.accent }, value: ink.muted }
  return {
    width: 560,
    height: { step: 24 },
    data: { values },
    layer: [
      {
        mark: { type: 'rule', strokeWidth: 2 },
        encoding: { y, x: x('low'), x2: { field: 'high' }, color: colour },
      },
      { mark: { type: 'circle', size: 80, opacity: 1 }, encoding: { y, x: x('value'), color: colour } },
    ],
  }
}

/** ROC or precision-recall curves with the areas in the legend. */
export function curveSpec(curves: readonly CurveRecord[], kind: 'roc' | 'pr'): object {
  // The area first: a long name may be cut.
  const names = curves.map((curve) => `${curve.area.toFixed(3)}  ${curve.name}`)
  const values = curves.flatMap((curve, c) => curve.points.map(([x, y], order) => ({ x, y, order, c: String(c) })))
  const mean = curves[0]?.name === 'mean of classes' && curves.length > 1
  const layers: object[] = [
    {
      mark: {
        type: 'line',
        strokeWidth: 1.75,
        strokeJoin: 'round',
        interpolate: kind === 'pr' ? 'step-before' : 'linear',
      },
      encoding: {
        x: { field: 'x', type: 'quantitative', scale: unit, title: kind === 'roc' ? 'false positive rate' : 'recall' },
        y: {
          field: 'y',
          type: 'quantitative',
          scale: unit,
          title: kind === 'roc' ? 'true positive rate' : 'precision',
        },
        order: { field: 'order', type: 'quantitative' },
        color: {
          field: 'name',
          type: 'nominal',
          sort: null,
          title: null,
          scale: {
            domain: names,
            range: curves.map((_, c) => (mean && c === 0 ? ink.text : palette[(mean ? c - 1 : c) % palette.length])),
          },
          legend: {
            orient: 'bottom',
            columns: names.length > 5 ? 2 : 1,
            symbolType: 'stroke',
            offset: 6,
            labelLimit: names.length > 5 ? 105 : 230,
          },
        },
      },
    },
  ]
  if (kind === 'roc') {
    layers.unshift({
      data: {
        values: [
          { x: 0, y: 0 },
          { x: 1, y: 1 },
        ],
      },
      mark: { type: 'line', strokeWidth: 1, stroke: ink.muted, strokeDash: [3, 3] },
      encoding: { x: { field: 'x', type: 'quantitative' }, y: { field: 'y', type: 'quantitative' } },
    })
  }
  return {
    ...square,
    data: { values: values.map(({ c, ...rest }) => ({ ...rest, name: names[Number(c)] })) },
    layer: layers,
  }
}

/** Confidence against accuracy; a dot's size follows its rows. */
export function calibrationSpec(calibration: NonNullable<DetailRecord['calibration']>): object {
  return {
    ...square,
    layer: [
      {
        data: {
          values: [
            { x: 0, y: 0 },
            { x: 1, y: 1 },
          ],
        },
        mark: { type: 'line', strokeWidth: 1, stroke: ink.muted, strokeDash: [3, 3] },
        encoding: { x: { field: 'x', type: 'quantitative' }, y: { field: 'y', type: 'quantitative' } },
      },
      {
        data: { values: calibration.bins },
        mark: { type: 'line', stroke: ink.accent, strokeWidth: 1.5 },
        encoding: {
          x: { field: 'confidence', type: 'quantitative', scale: unit, title: 'confidence' },
          y: { field: 'accuracy', type: 'quantitative', scale: unit, title: 'share that is right' },
        },
      },
      {
        data: { values: calibration.bins },
        mark: { type: 'circle', fill: ink.accent, opacity: 1 },
        encoding: {
          x: { field: 'confidence', type: 'quantitative' },
          y: { field: 'accuracy', type: 'quantitative' },
          size: { field: 'count', type: 'quantitative', scale: { range: [20, 320] }, legend: null },
        },
      },
    ],
  }
}

/** Precision and recall of each class, the weakest on top. */
export function classSpec(classes: readonly ClassRecord[], limit: number): object {
  const shown = [...classes]
    .filter(({ support }) => support > 0)
    .sort((a, b) => a.f1 - b.f1 || b.support - a.support)
    .slice(0, limit)
  const values = shown.flatMap((entry) => [
    { name: `${entry.name}  (${entry.support})`, measure: 'precision', value: entry.precision },
    { name: `${entry.name}  (${entry.support})`, measure: 'recall', value: entry.recall },
  ])
  return {
    width: 190,
    height: { step: 11 },
    data: { values },
    mark: { type: 'bar', height: 8, cornerRadiusEnd: 1 },
    encoding: {
      y: {
        field: 'name',
        type: 'nominal',
        sort: null,
        title: null,
        axis: { ticks: false, domain: false, labelLimit: 120 },
        scale: { paddingInner: 0.25 },
      },
      yOffset: { field: 'measure', type: 'nominal' },
      x: { field: 'value', type: 'quantitative', scale: unit, title: null, axis: { format: '.0%', tickCount: 3 } },
      color: {
        field: 'measure',
        type: 'nominal',
        title: null,
        scale: { domain: ['precision', 'recall'], range: [ink.accent, ink.warm] },
        legend: { orient: 'bottom', symbolType: 'square', direction: 'horizontal' },
      },
    },
  }
}

/** The metric against the number of training rows, with its interval. */
export function learningSpec(curve: NonNullable<DetailRecord['learningCurve']>, metric: ReportMetric): object {
  const values = curve.map((point) => ({ ...point, low: point.low ?? point.value, high: point.high ?? point.value }))
  const x = { field: 'rows', type: 'quantitative', title: 'training rows', scale: { zero: true } }
  const format = metric.format === 'percent' ? '.0%' : '.2f'
  const y = (field: string) => ({
    field,
    type: 'quantitative',
    title: metric.title,
    scale: { zero: false },
    axis: { format },
  })
  return {
    ...square,
    data: { values },
    layer: [
      {
        mark: { type: 'rule', stroke: ink.accent, strokeWidth: 1.5 },
        encoding: { x, y: y('low'), y2: { field: 'high' } },
      },
      { mark: { type: 'line', stroke: ink.accent, strokeWidth: 1.5 }, encoding: { x, y: y('value') } },
      { mark: { type: 'circle', fill: ink.accent, size: 50, opacity: 1 }, encoding: { x, y: y('value') } },
    ],
  }
}

interface CostPoint {
  readonly name: string
  readonly seconds: number
  readonly value: number
}

/**
 * Points whose names do not lie over each other, the best first; places are about those of the chart that is
 * {@link costSize}.
 */
function apart(points: readonly CostPoint[], sign: number): CostPoint[] {
  const span = (of: (point: CostPoint) => number): ((point: CostPoint) => number) => {
    const all = points.map(of)
    const [low, high] = [Math.min(...all), Math.max(...all)]
    return (point) => (high > low ? (of(point) - low) / (high - low) : 0)
  }
  const across = span(({ seconds }) => Math.log(seconds))
  const up = span(({ value }) => value)
  const kept: { readonly point: CostPoint; readonly x: number; readonly y: number }[] = []
  // The named points fill a part of the chart only: half of it is a cautious guess.
  for (const point of [...points].sort((a, b) => sign * (b.value - a.value))) {
    const [x, y] = [(across(point) * costSize.width) / 2, (up(point) * costSize.height) / 2]
    const width = 20 + 6.5 * point.name.length
    const free = kept.every(
      (other) => Math.abs(other.y - y) > 14 || other.x > x + width || x > other.x + 20 + 6.5 * other.point.name.length,
    )
    if (free) kept.push({ point, x, y })
  }
  return kept.map(({ point }) => point)
}

const costSize = { width: 460, height: 220 }

/** Fit seconds against the primary metric: what an improvement costs. */
export function costSpec(ranking: readonly RankedRecord[], metric: ReportMetric): object | undefined {
  const values = ranking.flatMap((entry) => {
    const found = entry.values.find((value) => value.metric === metric.id)
    if (found === undefined || entry.fitSeconds === undefined || entry.baseline || entry.fitSeconds <= 0) return []
    return [{ name: entry.title, seconds: entry.fitSeconds, value: found.value }]
  })
  if (values.length < 2) return undefined
  // Names of all would lie over each other: coloured are those that no other beats in both, named are as many of them
  // as there is space.
  const sign = metric.higherIsBetter ? 1 : -1
  const named = values.filter(
    (one) =>
      !values.some((other) => other !== one && other.seconds <= one.seconds && sign * other.value >= sign * one.value),
  )
  const labelled = apart(named, sign)
  const encoding = {
    x: {
      field: 'seconds',
      type: 'quantitative',
      scale: { type: 'log', nice: true },
      title: 'seconds to fit (log)',
      axis: { format: '~g', tickCount: 4 },
    },
    y: {
      field: 'value',
      type: 'quantitative',
      scale: { zero: false, nice: true, padding: 12 },
      title: metric.title,
      axis: { format: metric.format === 'percent' ? '.0%' : '.2f' },
    },
  }
  return {
    ...costSize,
    data: { values },
    layer: [
      { mark: { type: 'circle', size: 60, fill: ink.muted, opacity: 0.7 }, encoding },
      { data: { values: named }, mark: { type: 'circle', size: 80, fill: ink.accent, opacity: 1 }, encoding },
      {
        data: { values: labelled },
        mark: { type: 'text', align: 'left', dx: 8, fontSize: 11, fill: ink.text, limit: 240 },
        encoding: { ...encoding, text: { field: 'name', type: 'nominal' } },
      },
    ],
  }
}

/** What a screen reader says of a chart of curves. */
export function curveLabel(title: string, curves: readonly CurveRecord[]): string {
  return `${title}. Areas: ${curves.map((curve) => `${curve.name} ${curve.area.toFixed(3)}`).join('; ')}.`
}

/** What a screen reader says of the chart of intervals. */
export function intervalLabel(ranking: readonly RankedRecord[], metric: ReportMetric): string {
  const said = ranking
    .filter(({ baseline }) => !baseline)
    .map((entry) => {
      const found = entry.values.find((value) => value.metric === metric.id)
      return `${entry.title} ${formatValue(found?.value, metric.format)}`
    })
  return `${metric.title} with intervals: ${said.join('; ')}.`
}

import type { OnnxWriter } from '../../onnx/classifier-writer.js'
import type { Calibration } from './calibration.js'

/**
 * Adds the curves to `scores` (float32 `[N, classes]`) and divides by their sum. In float64, as calibration.ts
 * computes.
 */
export function calibrationOnnx(g: OnnxWriter, scores: string, calibration: Calibration): string {
  const { kind, curves } = calibration
  const classes = curves.length
  const wide = g.cast(scores, 'float64')
  const shares = kind === 'sigmoid' ? sigmoid(g, wide, curves) : isotonic(g, wide, curves)
  // Where every curve says 0, all classes are equally likely: a sum of 0 becomes 1 and each share 1 / classes.
  const sum = g.sum(shares, 1)
  const empty = g.cast(g.add('Not', [g.add('Greater', [sum, g.doubles(0)])]), 'float64')
  const filled = g.add('Add', [shares, g.add('Mul', [empty, g.doubles(1 / classes)])])
  return g.cast(g.add('Div', [filled, g.add('Add', [sum, empty])]), 'float32')
}

/** 1 / (1 + exp(a·s + b)). */
function sigmoid(g: OnnxWriter, scores: string, curves: readonly Float64Array[]): string {
  const slope = g.doubles(curves.map((curve) => -curve[0]!))
  const offset = g.doubles(curves.map((curve) => -curve[1]!))
  return g.add('Sigmoid', [g.add('Add', [g.add('Mul', [scores, slope]), offset])])
}

/**
 * Straight lines between knots. All curves lie in one array, filled up with knots at infinity, which no score reaches.
 */
function isotonic(g: OnnxWriter, scores: string, curves: readonly Float64Array[]): string {
  const classes = curves.length
  // A curve of one knot is constant: give it a second one.
  const knots = curves.map((curve) => {
    const n = curve.length / 2
    const [x, y] = [[...curve.subarray(0, n)], [...curve.subarray(n)]]
    return n > 1 ? { x, y } : { x: [x[0]!, x[0]! + 1], y: [y[0]!, y[0]!] }
  })
  const most = Math.max(...knots.map(({ x }) => x.length))
  const xs = new Float64Array(classes * most).fill(Number.POSITIVE_INFINITY)
  const ys = new Float64Array(classes * most)
  for (const [c, { x, y }] of knots.entries()) {
    xs.set(x, c * most)
    ys.set(y, c * most)
  }
  const first = g.doubles(knots.map(({ x }) => x[0]!))
  const last = g.doubles(knots.map(({ x }) => x.at(-1)!))
  const inside = g.add('Min', [g.add('Max', [scores, first]), last])
  // Knots at or below the score, less one: the segment's left end; of the last knot, the one before.
  const below = g.add('Not', [g.add('Less', [g.reshape(inside, [0, 0, 1]), g.doubles(xs, [1, classes, most])])])
  const count = g.reshape(g.sum(g.cast(below, 'float32'), 2), [0, classes])
  const capped = g.add('Min', [count, g.floats(knots.map(({ x }) => x.length - 1))])
  const base = g.floats(knots.map((_, c) => c * most - 1))
  const left = g.cast(g.add('Add', [capped, base]), 'int64')
  const right = g.add('Add', [left, g.ints([1])])
  const [flatX, flatY] = [g.doubles(xs), g.doubles(ys)]
  const at = (table: string, index: string): string => g.add('Gather', [table, index], { axis: 0 })
  const [x0, x1, y0, y1] = [at(flatX, left), at(flatX, right), at(flatY, left), at(flatY, right)]
  const share = g.add('Div', [g.add('Sub', [inside, x0]), g.add('Sub', [x1, x0])])
  return g.add('Add', [g.add('Mul', [y0, g.add('Sub', [g.doubles(1), share])]), g.add('Mul', [y1, share])])
}

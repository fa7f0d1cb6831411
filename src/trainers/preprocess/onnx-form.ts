import type { OnnxWriter } from '../../onnx/classifier-writer.js'
import type { FittedStep } from './preprocess.js'

/**
 * Below every squared length but 0: rows of zeros stay zeros. (Added instead, onnxruntime would drop it as a zero in
 * float32.)
 */
const tiny = 1e-300

function power(g: OnnxWriter, x: string, exponent: number): string {
  // sign(x)·|x|^a = relu(x)^a − relu(−x)^a
  const part = (side: string): string => {
    if (exponent === 0.5) return g.add('Sqrt', [g.add('Relu', [side])])
    const wide = g.cast(g.add('Relu', [side]), 'float64')
    return g.cast(g.add('Pow', [wide, g.doubles(exponent)]), 'float32')
  }
  return g.add('Sub', [part(x), part(g.add('Neg', [x]))])
}

/**
 * Adds the steps to `x` (float32 `[N, cols]`). Rounds where preprocess.ts rounds, so that trees see the same numbers.
 */
export function preprocessOnnx(g: OnnxWriter, x: string, steps: readonly FittedStep[]): string {
  let now = x
  for (const step of steps) {
    if (step.kind === 'power') now = power(g, now, step.exponent)
    else if (step.kind === 'standardise') {
      const centred = g.add('Sub', [g.cast(now, 'float64'), g.doubles(step.mean)])
      now = g.cast(g.add('Div', [centred, g.doubles(step.scale)]), 'float32')
    } else if (step.kind === 'l2') {
      const wide = g.cast(now, 'float64')
      const length = g.add('Sqrt', [g.add('Max', [g.sum(g.add('Mul', [wide, wide]), 1), g.doubles(tiny)])])
      const factor = g.add('Div', [g.doubles(1), length])
      now = g.cast(g.add('Mul', [wide, factor]), 'float32')
    } else {
      const { data, rows, cols } = step.projection
      const centred = g.add('Sub', [now, g.weights('mean', [step.mean.length], step.mean)])
      now = g.add('Gemm', [centred, g.weights('projection', [rows, cols], data), zeros(g, rows)], { transB: 1 })
    }
  }
  return now
}

/** Before operator set 11 a Gemm must have its third input. */
const zeros = (g: OnnxWriter, n: number): string => g.weights('zeros', [n], new Float32Array(n))

import { type RuleContext, unsupported } from './contract.js'

/** The geometry of a convolution or pooling over two spatial axes, with `auto_pad` resolved. */
export interface Window {
  readonly kernel: readonly [number, number]
  readonly strides: readonly [number, number]
  readonly dilations: readonly [number, number]
  /** Padding before the first row and column. */
  readonly begin: readonly [number, number]
  /** Padding after the last row and column, as declared. */
  readonly end: readonly [number, number]
  readonly input: readonly [number, number]
  readonly output: readonly [number, number]
}

/**
 * Reads the window of a Conv or pooling node.
 *
 * @throws Fc7Error GRADIENT_UNSUPPORTED unless the input has two spatial axes
 */
export function readWindow(context: RuleContext, kernel: readonly number[]): Window {
  const { node, attributes } = context
  const x = context.shape(node.input[0]!)
  const y = context.shape(node.output[0]!)
  if (x.length !== 4) throw unsupported(node, `it has ${x.length - 2} spatial axes, and fc7 trains images (two)`)
  const pair = (values: readonly number[] | undefined, fallback: number): [number, number] => [
    values?.[0] ?? fallback,
    values?.[1] ?? fallback,
  ]
  const strides = pair(attributes.ints('strides'), 1)
  const dilations = pair(attributes.ints('dilations'), 1)
  const pads = attributes.ints('pads') ?? [0, 0, 0, 0]
  let begin: [number, number] = [pads[0] ?? 0, pads[1] ?? 0]
  let end: [number, number] = [pads[2] ?? 0, pads[3] ?? 0]
  const auto = attributes.string('auto_pad', 'NOTSET')
  if (auto === 'SAME_UPPER' || auto === 'SAME_LOWER') {
    const total = [0, 1].map((i) =>
      Math.max(0, (y[i + 2]! - 1) * strides[i]! + dilations[i]! * (kernel[i]! - 1) + 1 - x[i + 2]!),
    )
    const small = total.map((n) => Math.floor(n / 2)) as [number, number]
    const large = total.map((n) => Math.ceil(n / 2)) as [number, number]
    begin = auto === 'SAME_UPPER' ? small : large
    end = auto === 'SAME_UPPER' ? large : small
  } else if (auto === 'VALID') {
    begin = [0, 0]
    end = [0, 0]
  }
  return {
    kernel: pair(kernel, 1),
    strides,
    dilations,
    begin,
    end,
    input: [x[2]!, x[3]!],
    output: [y[2]!, y[3]!],
  }
}

/**
 * Attributes of the ConvTranspose that spreads a gradient of the window's output over its input: it cuts what the
 * windows hang over the input's edges and appends the rows no window reached.
 */
export function transposeAttributes(window: Window): Record<string, number[]> {
  const over = [0, 1].map((i) => {
    const full = (window.output[i]! - 1) * window.strides[i]! + window.dilations[i]! * (window.kernel[i]! - 1) + 1
    return full - window.begin[i]! - window.input[i]!
  })
  return {
    kernel_shape: [...window.kernel],
    strides: [...window.strides],
    dilations: [...window.dilations],
    pads: [...window.begin, ...over.map((n) => Math.max(0, n))],
    output_padding: over.map((n) => Math.max(0, -n)),
  }
}

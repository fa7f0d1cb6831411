import { z } from 'zod'
import { Fc7Error } from '../../base/errors.js'
import type { AttributeValue, GraphBuilder } from '../../onnx/build.js'
import type { KerasConfig, KerasLayer } from './topology.js'
import type { Weight } from './weights.js'

/**
 * A tensor on its way through the importer. `shape` is Keras' (channels last, without the batch); four-dimensional
 * tensors lie in ONNX as [N, C, H, W] all the same. null: a size that the model leaves open.
 */
export interface Value {
  readonly name: string
  readonly shape: readonly (number | null)[]
}

/** What a layer's rule works with. */
export interface LayerContext {
  readonly layer: KerasLayer
  readonly inputs: readonly Value[]
  readonly graph: GraphBuilder
  /** A stored weight of this layer, or an error that names it. */
  weight(name: string): Weight
  hasWeight(name: string): boolean
}

/**
 * Turns one Keras layer into nodes and returns its output, whose name is {@link outputName} unless it passes its input
 * on.
 */
export type LayerRule = (context: LayerContext) => Value

/** The tensor that a layer's output is in carries the layer's own name. */
export const outputName = (context: LayerContext): string => context.layer.name

export function refuse(layer: KerasLayer, what: string): Fc7Error {
  return new Fc7Error('TFJS_UNSUPPORTED', `The layer ${layer.name} (${layer.className}) cannot be imported: ${what}.`, {
    hint: 'Export the model to ONNX with its own framework, and use the ONNX file.',
  })
}

export function onlyInput(context: LayerContext): Value {
  const [input] = context.inputs
  if (!input || context.inputs.length !== 1)
    throw refuse(context.layer, `it has ${context.inputs.length} inputs, not one`)
  return input
}

/** Height, width and channels of an image-like input. */
export function imageInput(context: LayerContext): {
  input: Value
  height: number | null
  width: number | null
  channels: number
} {
  const input = onlyInput(context)
  const [height = null, width = null, channels = null] = input.shape
  if (input.shape.length !== 3 || channels === null)
    throw refuse(context.layer, `its input has the shape [${input.shape.join(', ')}], not [height, width, channels]`)
  return { input, height, width, channels }
}

function field<T>(layer: KerasLayer, key: string, schema: z.ZodType<T>, fallback?: T): T {
  const value = (layer.config as KerasConfig)[key]
  if ((value === undefined || value === null) && fallback !== undefined) return fallback
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw refuse(layer, `its setting ${key} is ${JSON.stringify(value)?.slice(0, 80) ?? 'missing'}`)
}

const size = z.int().min(1).max(65_536)
const pair = z.union([size.transform((n): [number, number] => [n, n]), z.tuple([size, size])])

export const numberField = (layer: KerasLayer, key: string, fallback?: number): number =>
  field(layer, key, z.number(), fallback)
export const wholeField = (layer: KerasLayer, key: string, fallback?: number): number =>
  field(layer, key, z.int(), fallback)
export const flagField = (layer: KerasLayer, key: string, fallback: boolean): boolean =>
  field(layer, key, z.boolean(), fallback)
export const textField = (layer: KerasLayer, key: string, fallback?: string): string =>
  field(layer, key, z.string(), fallback)
export const pairField = (layer: KerasLayer, key: string, fallback?: [number, number]): [number, number] =>
  field(layer, key, pair as z.ZodType<[number, number]>, fallback)
export const fieldOf = field

/** fc7 reads channels-last models, which is what TensorFlow.js runs; others are refused rather than guessed. */
export function needChannelsLast(layer: KerasLayer): void {
  if (textField(layer, 'data_format', 'channels_last') !== 'channels_last')
    throw refuse(layer, 'its data format is channels_first')
}

/** What moves over an image, as `[height, width]`. */
export interface Window {
  readonly kernel: readonly [number, number]
  readonly strides: readonly [number, number]
  /** Default 1. */
  readonly dilations?: readonly [number, number] | undefined
}

export interface Padding {
  readonly attributes: Readonly<Record<string, AttributeValue>>
  readonly height: number | null
  readonly width: number | null
}

/**
 * Keras' `valid` and `same` as ONNX attributes. `same` pads to ceil(size / stride) outputs, the odd pixel after; where
 * the size is known the pads are written out, else left to `auto_pad`, which means the same.
 */
export function padding(
  layer: KerasLayer,
  sizes: { height: number | null; width: number | null },
  { kernel, strides, dilations = [1, 1] }: Window,
): Padding {
  const mode = textField(layer, 'padding', 'valid')
  if (mode !== 'valid' && mode !== 'same') throw refuse(layer, `its padding is "${mode}"`)
  const axes = [sizes.height, sizes.width].map((length, i) => {
    const stride = strides[i] ?? 1
    const window = (dilations[i] ?? 1) * ((kernel[i] ?? 1) - 1) + 1
    if (mode === 'valid') {
      const out = length === null ? null : Math.floor((length - window) / stride) + 1
      return { out, before: 0, after: 0 }
    }
    if (length === null) return { out: null, before: undefined, after: undefined }
    const out = Math.ceil(length / stride)
    const total = Math.max(0, (out - 1) * stride + window - length)
    return { out, before: Math.floor(total / 2), after: total - Math.floor(total / 2) }
  })
  const [top, left] = axes
  const open = axes.some(({ before }) => before === undefined)
  if (axes.some(({ out }) => out !== null && out < 1)) throw refuse(layer, 'its window is larger than its input')
  return {
    attributes: open
      ? { auto_pad: 'SAME_UPPER' }
      : { pads: [top?.before ?? 0, left?.before ?? 0, top?.after ?? 0, left?.after ?? 0] },
    height: top?.out ?? null,
    width: left?.out ?? null,
  }
}

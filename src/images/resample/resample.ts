import type { PixelSize, RecipeCrop, RecipeResize, ResizeFilter } from '../recipe/recipe.js'
import { type Axis, type AxisTable, cachedAxisTable, nearestPositions, weightBits } from './coefficients.js'
import { resampleWasm } from './resample-wasm.js'

/** Pixels in memory: `uint8 [height, width, 3]`, RGB. */
export interface Pixels extends PixelSize {
  readonly data: Uint8Array
}

/** A rectangle in pixels. */
export interface PixelBox extends PixelSize {
  readonly x: number
  readonly y: number
}

export interface ResampleOptions {
  readonly filter: ResizeFilter
  /** False: 2-tap bilinear (TensorFlow, Caffe). Default true. */
  readonly antialias?: boolean | undefined
  /** The part of the resized image to compute. Default all of it. */
  readonly window?: PixelBox | undefined
  /** Where the result goes, `window.width * window.height * 3` bytes. Default a new array. */
  readonly out?: Uint8Array | undefined
  /** Tests compare the WebAssembly passes to the JavaScript ones. Default true. */
  readonly wasm?: boolean | undefined
}

/** JavaScript's horizontal pass: rows first … end of the source, one output column after another. */
function narrowRows(source: Pixels, across: AxisTable, first: number, end: number): Uint8ClampedArray {
  const { starts, counts, weights, taps } = across
  const columns = starts.length
  const out = new Uint8ClampedArray((end - first) * columns * 3)
  const half = 1 << (weightBits - 1)
  const { data, width } = source
  let o = 0
  for (let row = first; row < end; row++) {
    const rowAt = row * width * 3
    for (let column = 0; column < columns; column++) {
      let p = rowAt + starts[column]! * 3
      let w = column * taps
      const stop = w + counts[column]!
      let r = half
      let g = half
      let b = half
      for (; w < stop; w++, p += 3) {
        const weight = weights[w]!
        r += data[p]! * weight
        g += data[p + 1]! * weight
        b += data[p + 2]! * weight
      }
      out[o++] = r >> weightBits
      out[o++] = g >> weightBits
      out[o++] = b >> weightBits
    }
  }
  return out
}

/** JavaScript's vertical pass. */
function shortenColumns(rows: Uint8ClampedArray, stride: number, down: AxisTable, out: Uint8Array): void {
  const { starts, counts, weights, taps, first } = down
  const half = 1 << (weightBits - 1)
  const target = new Uint8ClampedArray(out.buffer, out.byteOffset, out.length)
  for (let row = 0; row < starts.length; row++) {
    const from = (starts[row]! - first) * stride
    const count = counts[row]!
    for (let column = 0; column < stride; column++) {
      let sum = half
      let p = from + column
      for (let k = 0; k < count; k++, p += stride) sum += rows[p]! * weights[row * taps + k]!
      target[row * stride + column] = sum >> weightBits
    }
  }
}

const horizontal = (source: PixelSize, target: PixelSize, window: PixelBox): Axis => ({
  sourceLength: source.width,
  targetLength: target.width,
  from: window.x,
  length: window.width,
})

const vertical = (source: PixelSize, target: PixelSize, window: PixelBox): Axis => ({
  sourceLength: source.height,
  targetLength: target.height,
  from: window.y,
  length: window.height,
})

function nearest(source: Pixels, target: PixelSize, window: PixelBox, out: Uint8Array): void {
  const columns = nearestPositions(horizontal(source, target, window))
  const rows = nearestPositions(vertical(source, target, window))
  let o = 0
  for (const row of rows) {
    for (const column of columns) {
      const p = (row * source.width + column) * 3
      out[o++] = source.data[p]!
      out[o++] = source.data[p + 1]!
      out[o++] = source.data[p + 2]!
    }
  }
}

/** Left and right neighbour of each output position and the right one's share, half-pixel centres, edges repeated. */
function lerpTable({ sourceLength, targetLength, from, length }: Axis, unit: number) {
  const left = new Int32Array(length)
  const right = new Int32Array(length)
  const share = new Float64Array(length)
  const scale = sourceLength / targetLength
  for (let i = 0; i < length; i++) {
    const position = (from + i + 0.5) * scale - 0.5
    const floor = Math.floor(position)
    left[i] = Math.max(0, floor) * unit
    right[i] = Math.min(sourceLength - 1, Math.ceil(position)) * unit
    share[i] = position - floor
  }
  return { left, right, share }
}

/**
 * Bilinear of two taps an axis, without antialias: `tf.image.resize(…, 'bilinear')` rounded to whole grey levels, which
 * is also OpenCV's INTER_LINEAR within its fixed point.
 */
function lerp(source: Pixels, target: PixelSize, window: PixelBox, out: Uint8Array): void {
  const x = lerpTable(horizontal(source, target, window), 3)
  const y = lerpTable(vertical(source, target, window), source.width * 3)
  const { data } = source
  let o = 0
  for (let row = 0; row < window.height; row++) {
    const top = y.left[row]!
    const bottom = y.right[row]!
    const dy = y.share[row]!
    for (let column = 0; column < window.width; column++) {
      const left = x.left[column]!
      const right = x.right[column]!
      const dx = x.share[column]!
      for (let c = 0; c < 3; c++) {
        const a = data[top + left + c]!
        const b = data[bottom + left + c]!
        const upper = a + (data[top + right + c]! - a) * dx
        const lower = b + (data[bottom + right + c]! - b) * dx
        out[o++] = upper + (lower - upper) * dy + 0.5
      }
    }
  }
}

/**
 * Resizes `source` to `target` and returns the window of the result, computing nothing outside it. With antialias it is
 * Pillow's `Image.resize` to the bit (two passes, 8-bit intermediate, 22-bit weights; version and arrays in
 * test/fixtures/images), without it TensorFlow's `tf.image.resize` rounded.
 *
 * @returns `uint8 [window.height, window.width, 3]`
 */
export function resample(source: Pixels, target: PixelSize, options: ResampleOptions): Pixels {
  const window = options.window ?? { x: 0, y: 0, width: target.width, height: target.height }
  const out = options.out ?? new Uint8Array(window.width * window.height * 3)
  const result = { data: out, width: window.width, height: window.height }
  if (options.filter === 'nearest') {
    nearest(source, target, window, out)
    return result
  }
  if (options.antialias === false) {
    lerp(source, target, window, out)
    return result
  }
  const across = cachedAxisTable(options.filter, horizontal(source, target, window))
  const down = cachedAxisTable(options.filter, vertical(source, target, window))
  if (options.wasm === false || !resampleWasm(source.data, source.width, across, down, out)) {
    shortenColumns(narrowRows(source, across, down.first, down.end), window.width * 3, down, out)
  }
  return result
}

/** The size that a recipe's resize gives an image, before the crop. */
export function resizedSize(resize: RecipeResize, image: PixelSize): PixelSize {
  if (resize.mode === 'none') return { width: image.width, height: image.height }
  if (resize.mode === 'squash') return { width: resize.width, height: resize.height }
  const { width, height } = image
  const long = (resize.size * Math.max(width, height)) / Math.min(width, height)
  const longSide = resize.longSide === 'truncate' ? Math.trunc(long) : Math.round(long)
  return width <= height ? { width: resize.size, height: longSide } : { width: longSide, height: resize.size }
}

/** Python's `round`: halves go to the even neighbour. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}

/**
 * Where the centred crop lies in an image of `size`: negative `x` or `y` where the image is smaller and black is added
 * (torchvision's `center_crop`: the odd pixel of padding goes right and below).
 */
export function cropWindow(crop: RecipeCrop | null, size: PixelSize): PixelBox {
  if (!crop) return { x: 0, y: 0, width: size.width, height: size.height }
  const offset = (outer: number, inner: number): number => {
    if (inner > outer) return -Math.floor((inner - outer) / 2)
    const margin = (outer - inner) / 2
    return crop.rounding === 'half-even' ? roundHalfEven(margin) : Math.floor(margin)
  }
  return {
    x: offset(size.width, crop.width),
    y: offset(size.height, crop.height),
    width: crop.width,
    height: crop.height,
  }
}

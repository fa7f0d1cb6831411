import type { Pixels } from '../resample/resample.js'

/** Left becomes right, in place. */
export function mirror({ data, width, height }: Pixels): void {
  for (let row = 0; row < height; row++) {
    for (let a = row * width * 3, b = ((row + 1) * width - 1) * 3; a < b; a += 3, b -= 3) {
      for (let c = 0; c < 3; c++) {
        const held = data[a + c]!
        data[a + c] = data[b + c]!
        data[b + c] = held
      }
    }
  }
}

/**
 * Turns the image about its centre, counter-clockwise, in place; bilinear, what comes in from outside repeats the edge.
 */
export function rotate({ data, width, height }: Pixels, degrees: number): void {
  const source = data.slice()
  const radians = (degrees * Math.PI) / 180
  const cos = Math.cos(radians)
  const sin = Math.sin(radians)
  const [middleX, middleY] = [(width - 1) / 2, (height - 1) / 2]
  let o = 0
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const [dx, dy] = [column - middleX, row - middleY]
      const x = Math.min(width - 1, Math.max(0, middleX + cos * dx - sin * dy))
      const y = Math.min(height - 1, Math.max(0, middleY + sin * dx + cos * dy))
      const [left, top] = [Math.floor(x), Math.floor(y)]
      const [fx, fy] = [x - left, y - top]
      const a = (top * width + left) * 3
      const right = left + 1 < width ? 3 : 0
      const below = top + 1 < height ? width * 3 : 0
      for (let c = 0; c < 3; c++) {
        const upper = source[a + c]! * (1 - fx) + source[a + right + c]! * fx
        const lower = source[a + below + c]! * (1 - fx) + source[a + below + right + c]! * fx
        data[o++] = upper * (1 - fy) + lower * fy + 0.5
      }
    }
  }
}

export interface ColourChange {
  readonly brightness: number
  readonly contrast: number
  readonly saturation: number
  readonly hueDegrees: number
  readonly grayscale: boolean
}

/** Weights of Rec. 601, as Pillow's conversion to grey. */
const luma = [0.299, 0.587, 0.114] as const

/** Saturation and hue as one matrix: a turn and a stretch of the colour about the grey axis that keeps the luma. */
function colourMatrix(saturation: number, hueDegrees: number): number[] {
  const radians = (hueDegrees * Math.PI) / 180
  const cos = Math.cos(radians) * saturation
  const sin = Math.sin(radians) * saturation
  // The quarter turn in YIQ coordinates, written back to RGB: the constants of the SVG filter `hueRotate`.
  const turn = [-0.213, -0.715, 0.928, 0.143, 0.14, -0.283, -0.787, 0.715, 0.072]
  return turn.map((t, i) => {
    const grey = luma[i % 3]!
    return grey + cos * ((i % 4 === 0 ? 1 : 0) - grey) + sin * t
  })
}

/**
 * Brightness, contrast (about the mean grey), saturation and hue in one pass over the pixels, in place; values are
 * clipped once at the end. torchvision's ColorJitter clips after each of them.
 */
export function jitterColour({ data }: Pixels, change: ColourChange): void {
  const saturation = change.grayscale ? 0 : change.saturation
  const { brightness, contrast, hueDegrees } = change
  if (brightness === 1 && contrast === 1 && saturation === 1 && hueDegrees === 0) return
  let mean = 0
  if (contrast !== 1) {
    for (let i = 0; i < data.length; i += 3) {
      mean += luma[0] * data[i]! + luma[1] * data[i + 1]! + luma[2] * data[i + 2]!
    }
    mean /= data.length / 3
  }
  const factor = brightness * contrast
  // Half a level for rounding; grey stays where it is under the matrix, so the shift may be added after it.
  const shift = (1 - contrast) * mean * brightness + 0.5
  const m = colourMatrix(saturation, hueDegrees).map((value) => value * factor)
  const clip = (value: number): number => (value < 0 ? 0 : Math.min(value, 255))
  for (let i = 0; i < data.length; i += 3) {
    const [r, g, b] = [data[i]!, data[i + 1]!, data[i + 2]!]
    data[i] = clip(m[0]! * r + m[1]! * g + m[2]! * b + shift)
    data[i + 1] = clip(m[3]! * r + m[4]! * g + m[5]! * b + shift)
    data[i + 2] = clip(m[6]! * r + m[7]! * g + m[8]! * b + shift)
  }
}

/** Paints a rectangle, given in fractions of the image, with one colour, in place. */
export function erase(
  { data, width, height }: Pixels,
  box: { x: number; y: number; w: number; h: number; colour: readonly [number, number, number] },
): void {
  const right = Math.round((box.x + box.w) * width)
  const bottom = Math.round((box.y + box.h) * height)
  for (let row = Math.round(box.y * height); row < bottom; row++) {
    for (let column = Math.round(box.x * width); column < right; column++) {
      data.set(box.colour, (row * width + column) * 3)
    }
  }
}

import type { PixelBox } from '../resample/resample.js'

export interface GifOpen {
  /** `[red, green, blue]`. */
  readonly colour: readonly [number, number, number]
  /** Where the first frame lies on the canvas. */
  readonly frame: PixelBox
}

/** Past a chain of sub-blocks (a length byte and as many bytes, ended by a length of 0). */
function pastBlocks(bytes: Uint8Array, at: number): number {
  while (at < bytes.length && bytes[at] !== 0) at += 1 + bytes[at]!
  return at + 1
}

/**
 * What Pillow shows where the first frame of a GIF is transparent or leaves its canvas open: the colour that the
 * palette holds at the transparent index, or at 0 where nothing is transparent. libvips makes such pixels black.
 *
 * Reads the header only (GIF89a specification, sections 17 to 23). Undefined where it has no palette.
 */
export function gifOpen(bytes: Uint8Array): GifOpen | undefined {
  const tableOf = (flags: number, at: number) => (flags & 0x80 ? { at, length: 3 << ((flags & 7) + 1) } : undefined)
  let table = tableOf(bytes[10]!, 13)
  let at = 13 + (table?.length ?? 0)
  let index = 0
  let frame: PixelBox | undefined
  const u16 = (from: number): number => bytes[from]! | (bytes[from + 1]! << 8)
  while (at < bytes.length) {
    const kind = bytes[at]
    if (kind === 0x2c) {
      frame = { x: u16(at + 1), y: u16(at + 3), width: u16(at + 5), height: u16(at + 7) }
      table = tableOf(bytes[at + 9]!, at + 10) ?? table
      break
    }
    if (kind !== 0x21) break
    // A graphic control extension: its flags' lowest bit says that the fourth byte is the transparent index.
    if (bytes[at + 1] === 0xf9) index = bytes[at + 3]! & 1 ? bytes[at + 6]! : 0
    at = pastBlocks(bytes, at + 2)
  }
  if (!frame || !table || index * 3 >= table.length || table.at + index * 3 + 2 >= bytes.length) return undefined
  const from = table.at + index * 3
  return { colour: [bytes[from]!, bytes[from + 1]!, bytes[from + 2]!], frame }
}

import type { PixelSize } from '../recipe/recipe.js'

export type ImageFormat = 'jpeg' | 'png' | 'gif' | 'webp' | 'tiff'

/** What the first bytes of an image tell without decoding it. Absent where they do not (TIFF keeps it anywhere). */
export interface ImageFacts {
  readonly format: ImageFormat
  readonly size?: PixelSize | undefined
  readonly cmyk?: boolean | undefined
  /** Grey of 16 bits, which is narrowed here rather than by the decoder. */
  readonly sixteenBit?: boolean | undefined
}

const startsWith = (bytes: Uint8Array, text: string, at = 0): boolean => {
  if (bytes.length < at + text.length) return false
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false
  return true
}

const u16 = (b: Uint8Array, at: number): number => (b[at]! << 8) | b[at + 1]!
const u16le = (b: Uint8Array, at: number): number => b[at]! | (b[at + 1]! << 8)
const u32 = (b: Uint8Array, at: number): number => u16(b, at) * 65536 + u16(b, at + 2)

/** The kind of image by its magic bytes, whatever its name says; undefined for anything else (SVG, PDF, HTML, text). */
export function sniffFormat(bytes: Uint8Array): ImageFormat | undefined {
  if (startsWith(bytes, '\xff\xd8\xff')) return 'jpeg'
  if (startsWith(bytes, '\x89PNG\r\n\x1a\n')) return 'png'
  if (startsWith(bytes, 'GIF87a') || startsWith(bytes, 'GIF89a')) return 'gif'
  if (startsWith(bytes, 'RIFF') && startsWith(bytes, 'WEBP', 8)) return 'webp'
  for (const magic of ['II*\0', 'MM\0*', 'II+\0', 'MM\0+']) if (startsWith(bytes, magic)) return 'tiff'
  return undefined
}

/** Walks a JPEG's segments to its frame header. */
function jpegFacts(bytes: Uint8Array): ImageFacts {
  let at = 2
  while (at + 9 < bytes.length) {
    if (bytes[at] !== 0xff) break
    const marker = bytes[at + 1]!
    if (marker === 0xff) {
      at++
      continue
    }
    if (marker === 0xda || marker === 0xd9) break
    // Frame headers are C0…CF but for DHT, JPG and DAC.
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      const size = { width: u16(bytes, at + 7), height: u16(bytes, at + 5) }
      return { format: 'jpeg', size, cmyk: bytes[at + 9] === 4 }
    }
    at += marker >= 0xd0 && marker <= 0xd8 ? 2 : 2 + u16(bytes, at + 2)
  }
  return { format: 'jpeg' }
}

/**
 * Format and, where the header has them, size and colour model. Undefined when the bytes are no image that fc7 reads.
 */
export function sniff(bytes: Uint8Array): ImageFacts | undefined {
  const format = sniffFormat(bytes)
  if (format === 'jpeg') return jpegFacts(bytes)
  if (format === 'png' && bytes.length >= 26) {
    const size = { width: u32(bytes, 16), height: u32(bytes, 20) }
    return { format, size, sixteenBit: bytes[24] === 16 && (bytes[25] === 0 || bytes[25] === 4) }
  }
  if (format === 'gif' && bytes.length >= 10) {
    return { format, size: { width: u16le(bytes, 6), height: u16le(bytes, 8) } }
  }
  return format && { format }
}

/**
 * No end marker after the start of the scan, which holds 0xFF 0xD9 nowhere else; an end inside the headers counts too.
 */
function jpegEndsEarly(bytes: Uint8Array): boolean {
  let at = 2
  while (at + 4 <= bytes.length) {
    if (bytes[at] !== 0xff) return false
    const marker = bytes[at + 1]!
    if (marker === 0xda) {
      for (let i = at + 2; i + 1 < bytes.length; i++) if (bytes[i] === 0xff && bytes[i + 1] === 0xd9) return false
      return true
    }
    at += marker === 0xff ? 1 : marker >= 0xd0 && marker <= 0xd8 ? 2 : 2 + u16(bytes, at + 2)
  }
  return true
}

function pngEndsEarly(bytes: Uint8Array): boolean {
  for (let at = 8; at + 12 <= bytes.length; at += 12 + u32(bytes, at))
    if (startsWith(bytes, 'IEND', at + 4)) return false
  return true
}

/**
 * Whether an image's own structure says that bytes are missing at its end. Read from the bytes because a decoder's
 * complaint is no evidence: libvips keeps one log of errors for the whole process, and threads find each other's
 * sentences in it.
 */
export function endsEarly(bytes: Uint8Array, format: ImageFormat): boolean {
  switch (format) {
    case 'jpeg':
      return jpegEndsEarly(bytes)
    case 'png':
      return pngEndsEarly(bytes)
    case 'gif':
      return bytes.findLast((byte) => byte !== 0) !== 0x3b
    case 'webp':
      return u16le(bytes, 4) + u16le(bytes, 6) * 65536 + 8 > bytes.length
    case 'tiff':
      return false
  }
}

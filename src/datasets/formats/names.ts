const imageExtension = /\.(jpe?g|jpe|jfif|png|webp|gif|tiff?|bmp|heic|heif|avif|jp2)$/i

/**
 * Whether a file's name is that of an image. Some of these no loader takes: they are listed as failures, not passed
 * over.
 */
export const isImageName = (name: string): boolean => imageExtension.test(name)

/** Text of a name's bytes; bytes that are not UTF-8 become `\xNN`, so that different names stay different. */
export function nameText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    let text = ''
    for (let i = 0; i < bytes.length; ) {
      const first = bytes[i]!
      const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
      const part = bytes.subarray(i, i + length)
      const decoded = new TextDecoder('utf-8', { ignoreBOM: true }).decode(part)
      if (part.length === length && !decoded.includes('\ufffd')) {
        text += decoded
        i += length
      } else {
        text += `\\x${first.toString(16).padStart(2, '0')}`
        i++
      }
    }
    return text
  }
}

const splitNames = new Map([
  ['train', 'train'],
  ['training', 'train'],
  ['val', 'val'],
  ['valid', 'val'],
  ['validation', 'val'],
  ['test', 'test'],
  ['testing', 'test'],
])

/** `train`, `val` or `test` for a name that means one of them in any case, otherwise undefined. */
export const splitOf = (name: string): string | undefined => splitNames.get(name.toLowerCase())

/** The split that the name of a shard begins with (`train-00000-of-00004.parquet`, `val_000.tar`). */
export function splitOfShard(name: string): string | undefined {
  const word = /^([a-z]+)([-_.\d]|$)/i.exec(name)?.[1]
  return word === undefined ? undefined : splitOf(word)
}

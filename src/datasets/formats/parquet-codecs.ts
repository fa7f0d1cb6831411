import zlib from 'node:zlib'

type Inflate = (input: Uint8Array, length: number) => Uint8Array

// Newer Node has zstd; what is there decides.
const zstd = (zlib as unknown as { zstdDecompressSync?: (input: Uint8Array, options: object) => Buffer })
  .zstdDecompressSync

const limit = (length: number) => ({ maxOutputLength: Math.max(1, length) })

/** Compression methods beside snappy, which hyparquet has; none unpacks to more than `length` bytes. */
export const inflate: Record<string, Inflate> = {
  GZIP: (input, length) => zlib.gunzipSync(input, limit(length)),
  BROTLI: (input, length) => zlib.brotliDecompressSync(input, limit(length)),
}
if (zstd) inflate.ZSTD = (input, length) => zstd(input, limit(length))

/** Whether data compressed so can be read here. */
export const canInflate = (codec: string): boolean => codec === 'UNCOMPRESSED' || codec === 'SNAPPY' || codec in inflate

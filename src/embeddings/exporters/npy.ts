import { writeFileWith } from '../../base/files.js'
import type { Exporter } from './contract.js'
import { indexPath, writeIndex } from './csv.js'

/** The header of a .npy file (format 1.0), padded so that the data begins at a multiple of 64 bytes. */
export function npyHeader(descr: string, shape: readonly number[]): Buffer {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${tuple}, }`
  const length = Math.ceil((10 + text.length + 1) / 64) * 64 - 10
  const header = Buffer.alloc(10 + length, ' ')
  header.write('\x93NUMPY\x01\x00', 'latin1')
  header.writeUInt16LE(length, 8)
  header.write(text, 10, 'latin1')
  header[header.length - 1] = 0x0a
  return header
}

export const bytesOf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

export const npy: Exporter = {
  id: 'npy',
  summary: 'a float32 matrix for numpy.load, and <name>.index.csv beside it',
  extension: '.npy',
  async write(source, out) {
    await writeFileWith(out, async (file) => {
      await file.writeFile(npyHeader('<f4', [source.rows, source.dim]))
      for await (const chunk of source.chunks()) await file.writeFile(bytesOf(chunk.values))
    })
    await writeIndex(indexPath(out), source.chunks())
    return [out, indexPath(out)]
  },
}

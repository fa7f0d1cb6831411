import { writeFileWith } from '../../base/files.js'
import type { Exporter } from './contract.js'
import { indexPath, writeIndex } from './csv.js'
import { bytesOf } from './npy.js'

export const safetensors: Exporter = {
  id: 'safetensors',
  summary: 'one tensor "embeddings", and <name>.index.csv beside it',
  extension: '.safetensors',
  async write(source, out) {
    const header = JSON.stringify({
      __metadata__: source.facts,
      embeddings: { dtype: 'F32', shape: [source.rows, source.dim], data_offsets: [0, source.rows * source.dim * 4] },
    })
    // Padded with spaces, so that the data is aligned for readers that map the file.
    const text = Buffer.from(header + ' '.repeat((8 - (Buffer.byteLength(header) % 8)) % 8))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(text.length))
    await writeFileWith(out, async (file) => {
      await file.writeFile(length)
      await file.writeFile(text)
      for await (const chunk of source.chunks()) await file.writeFile(bytesOf(chunk.values))
    })
    await writeIndex(indexPath(out), source.chunks())
    return [out, indexPath(out)]
  },
}

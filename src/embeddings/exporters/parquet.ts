import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import { writeFileWith } from '../../base/files.js'
import type { Exporter } from './contract.js'

const text = (name: string) => ({
  name,
  type: 'BYTE_ARRAY' as const,
  converted_type: 'UTF8' as const,
  repetition_type: 'OPTIONAL' as const,
})

const schema = [
  { name: 'root', num_children: 7 },
  text('id'),
  text('path'),
  text('label'),
  text('split'),
  text('group'),
  { name: 'view', type: 'INT32' as const, repetition_type: 'REQUIRED' as const },
  { name: 'embedding', repetition_type: 'REQUIRED' as const, converted_type: 'LIST' as const, num_children: 1 },
  { name: 'list', repetition_type: 'REPEATED' as const, num_children: 1 },
  { name: 'element', type: 'FLOAT' as const, repetition_type: 'REQUIRED' as const },
]

/** Rows a row group holds at most: a reader needs one in memory. */
const rowsPerGroup = 512

export const parquet: Exporter = {
  id: 'parquet',
  summary: 'id, path, label, split, group, view and a list column "embedding"',
  extension: '.parquet',
  async write(source, out) {
    await writeFileWith(out, async (file) => {
      const writer = new ByteWriter()
      const drain = async (): Promise<void> => {
        await file.writeFile(new Uint8Array(writer.buffer, 0, writer.index))
        writer.index = 0
      }
      const parquetFile = new ParquetWriter({
        writer,
        schema,
        codec: 'UNCOMPRESSED',
        statistics: false,
        createdBy: 'fc7',
        kvMetadata: Object.entries(source.facts).map(([key, value]) => ({ key, value })),
      })
      for await (const chunk of source.chunks()) {
        for (let start = 0; start < chunk.rows; start += rowsPerGroup) {
          const end = Math.min(chunk.rows, start + rowsPerGroup)
          const vectors = Array.from({ length: end - start }, (_, i) =>
            Array.from(chunk.values.subarray((start + i) * source.dim, (start + i + 1) * source.dim)),
          )
          parquetFile.write({
            columnData: [
              { name: 'id', data: chunk.ids.slice(start, end) },
              { name: 'path', data: chunk.paths.slice(start, end) },
              { name: 'label', data: chunk.labels.slice(start, end) },
              { name: 'split', data: chunk.splits.slice(start, end) },
              { name: 'group', data: chunk.groups.slice(start, end) },
              { name: 'view', data: chunk.views.slice(start, end) },
              { name: 'embedding', data: vectors },
            ],
            rowGroupSize: rowsPerGroup,
          })
          await drain()
        }
      }
      parquetFile.finish()
      await drain()
    })
    return [out]
  },
}

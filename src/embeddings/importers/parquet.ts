import { type ForeignMatrix, type IndexRow, importError } from './contract.js'
import { indexColumns } from './index-rows.js'

/** A list column of floats, and the index columns by name. @throws Fc7Error IMPORT_BAD */
export async function openParquet(path: string): Promise<ForeignMatrix> {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await import('hyparquet')
  const file = await asyncBufferFromFile(path)
  const metadata = await parquetMetadataAsync(file)
  const rows = Number(metadata.num_rows)
  const names = metadata.schema.filter((element) => element.name !== 'root').map((element) => element.name)
  const text = indexColumns.filter((name) => names.includes(name))
  const [first] = await parquetReadObjects({ file, metadata, rowStart: 0, rowEnd: 1 })
  const vector = Object.entries(first ?? {}).find(([, value]) => Array.isArray(value) || ArrayBuffer.isView(value))?.[0]
  if (!first || !vector)
    throw importError(path, 'it has no column of vectors', 'A list column of floats is taken as the embedding.')
  const dim = (first[vector] as ArrayLike<number>).length
  const index =
    text.length > 0 ? ((await parquetReadObjects({ file, metadata, columns: text })) as IndexRow[]) : undefined
  return {
    rows,
    dim,
    index,
    async read(start, end) {
      const values = new Float32Array((end - start) * dim)
      const found = await parquetReadObjects({ file, metadata, columns: [vector], rowStart: start, rowEnd: end })
      found.forEach((row, i) => {
        const list = row[vector] as ArrayLike<number> | null
        if (list?.length !== dim)
          throw importError(
            path,
            `row ${start + i} has ${list?.length ?? 'no'} values, the first row has ${dim}`,
            'All vectors must be of one length.',
          )
        values.set(list, i * dim)
      })
      return values
    },
  }
}

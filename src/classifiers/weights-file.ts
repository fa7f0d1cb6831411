import { readFile, stat } from 'node:fs/promises'
import { z } from 'zod'
import { Fc7Error, messageOf } from '../base/errors.js'
import { sha256 } from '../base/files.js'
import { parseCsv } from '../embeddings/importers/csv.js'
import type { EmbeddingTable } from '../embeddings/store/table.js'
import { imageId } from '../embeddings/store/views.js'

const maxBytes = 256 << 20

const weightSchema = z
  .string()
  .transform((text) => (text.trim() === '' ? Number.NaN : Number(text)))
  .pipe(z.number().positive())

const bad = (path: string, what: string): Fc7Error =>
  new Fc7Error('WEIGHTS_BAD', `${path}: ${what}.`, {
    hint: 'The first line is id,weight (or path,weight); each other line gives one image a weight above 0.',
  })

async function readCsv(path: string): Promise<Buffer> {
  const file = await stat(path).catch((error) => {
    throw bad(path, `it cannot be read (${messageOf(error)})`)
  })
  if (!file.isFile() || file.size > maxBytes) throw bad(path, 'it is no file of at most 256 MB')
  return readFile(path)
}

/**
 * Reads the weights of a table's rows from a CSV file with a column `weight` and a column `id` or `path`. An augmented
 * view weighs what its image does; images that are not among the rows may be named too.
 *
 * @param rows those of the table that need a weight
 * @returns `[rows]`, and the sha256 of the file
 * @throws Fc7Error WEIGHTS_BAD naming the row or the image
 */
export async function readWeights(
  path: string,
  table: EmbeddingTable,
  rows: readonly number[],
): Promise<{ readonly values: Float64Array; readonly sha256: string }> {
  const bytes = await readCsv(path)
  const [header = [], ...records] = parseCsv(bytes.toString('utf8').replace(/^\uFEFF/, ''))
  const key = header.includes('id') ? 'id' : 'path'
  const [name, weight] = [header.indexOf(key), header.indexOf('weight')]
  if (name < 0 || weight < 0) throw bad(path, `it has the columns ${header.join(', ') || 'of an empty file'}`)
  const weights = new Map<string, number>()
  for (const [i, record] of records.entries()) {
    const row = `row ${i + 1} (${record[name] ?? ''})`
    const parsed = weightSchema.safeParse(record[weight] ?? '')
    if (!parsed.success) throw bad(path, `${row} has the weight "${record[weight] ?? ''}"`)
    if (weights.has(record[name]!)) throw bad(path, `${row} is named a second time`)
    weights.set(record[name]!, parsed.data)
  }
  const values = Float64Array.from(rows, (row) => {
    const image = key === 'id' ? imageId(table.ids[row]!, table.views[row]!) : table.paths[row]!
    const found = weights.get(image)
    if (found === undefined) throw bad(path, `the training image ${image} has no weight`)
    return found
  })
  return { values, sha256: sha256(bytes) }
}

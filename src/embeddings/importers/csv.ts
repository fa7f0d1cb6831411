import { readFile } from 'node:fs/promises'
import { type ForeignMatrix, importError } from './contract.js'
import { indexColumns, indexOfRecords } from './index-rows.js'

/** Splits CSV text (RFC 4180) into records. */
export function parseCsv(text: string): string[][] {
  const records: string[][] = []
  let record: string[] = []
  let cell = ''
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!
    if (quoted) {
      if (c !== '"') cell += c
      else if (text[i + 1] === '"') cell += text[++i]
      else quoted = false
    } else if (c === '"' && cell === '') quoted = true
    else if (c === ',') {
      record.push(cell)
      cell = ''
    } else if (c === '\n' || c === '\r') {
      if (c === '\r' && text[i + 1] === '\n') i++
      record.push(cell)
      if (record.length > 1 || cell !== '') records.push(record)
      record = []
      cell = ''
    } else cell += c
  }
  if (cell !== '' || record.length > 0) records.push([...record, cell])
  return records
}

/** A line a row: the index columns by name, every other column a number. @throws Fc7Error IMPORT_BAD */
export async function openCsv(path: string): Promise<ForeignMatrix> {
  const [header, ...records] = parseCsv(await readFile(path, 'utf8'))
  if (!header || records.length === 0)
    throw importError(path, 'it holds no rows', 'The first line names the columns, each other line is a row.')
  const known = new Set<string>([...indexColumns, 'row'])
  const columns = header.map((name, i) => ({ name, i })).filter(({ name }) => !known.has(name))
  const dim = columns.length
  const values = new Float32Array(records.length * dim)
  records.forEach((record, row) => {
    columns.forEach(({ i, name }, j) => {
      const value = record[i] === undefined || record[i] === '' ? Number.NaN : Number(record[i])
      if (Number.isNaN(value))
        throw importError(
          path,
          `line ${row + 2}, column ${name} is "${record[i] ?? ''}", not a number`,
          'Columns other than id, path, label, split, group and view must be numbers.',
        )
      values[row * dim + j] = value
    })
  })
  return {
    rows: records.length,
    dim,
    read: async (start, end) => values.slice(start * dim, end * dim),
    index: indexOfRecords(header, records),
  }
}

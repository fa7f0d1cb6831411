import { type IndexRow, importError } from './contract.js'

const orNull = (cell: string | undefined): string | null => (cell === undefined || cell === '' ? null : cell)

/** How the cell of each index column is read; the order is that of the rows' fingerprint. */
const cells: { readonly [Name in keyof IndexRow]-?: (cell: string | undefined) => IndexRow[Name] } = {
  id: (cell) => cell,
  path: (cell) => cell,
  label: orNull,
  split: orNull,
  group: orNull,
  view: Number,
}

/** Columns that say what a row is; every other column of a table is a value of the embedding. */
export const indexColumns = Object.keys(cells) as readonly (keyof IndexRow)[]

/** The rows’ index from records under a header: only the columns that are there, so that no other is overridden. */
export function indexOfRecords(header: readonly string[], records: readonly string[][]): IndexRow[] {
  const columns = indexColumns.flatMap((name) => {
    const at = header.indexOf(name)
    return at < 0 ? [] : [{ name, at }]
  })
  return records.map((record) => Object.fromEntries(columns.map(({ name, at }) => [name, cells[name](record[at])])))
}

/** Number of a row's view; 0 where none is given. @throws Fc7Error IMPORT_BAD */
export function viewOf(path: string, row: IndexRow | undefined, number: number): number {
  const view = Number(row?.view ?? 0)
  if (Number.isInteger(view) && view >= 0 && view <= 65_535) return view
  throw importError(
    path,
    `row ${number} has the view ${row?.view}`,
    'A view is 0 for the image itself, else its number.',
  )
}

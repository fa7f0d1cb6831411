import { realpath } from 'node:fs/promises'
import { basename, dirname, resolve, sep } from 'node:path'
import { messageOf, throwIfAborted } from '../../base/errors.js'
import type { DatasetItem, DatasetOptions, DatasetSource, OpenedSource } from '../contract.js'
import { brokenList, readCsv, readLines } from '../formats/lines.js'
import { mapOrdered } from '../formats/ordered.js'
import { type FoundFile, findFile } from '../formats/outside.js'
import { describe, type Fields, field, idOf, textOf } from '../formats/records.js'

/** File look-ups under way at once. */
const lookAhead = 32

interface Row {
  readonly line: number
  readonly fields: Fields
}

async function* csvRows(path: string): AsyncGenerator<Row> {
  let header: string[] | undefined
  for await (const { line, fields } of readCsv(path)) {
    if (!header) {
      header = fields.map((name) => name.trim().toLowerCase())
      if (field(new Map(header.map((name) => [name, name])), 'path') === undefined)
        throw brokenList(path, line, 'the header names no column "path"')
      continue
    }
    if (fields.length !== header.length)
      throw brokenList(path, line, `${fields.length} fields where the header has ${header.length}`)
    yield { line, fields: new Map(header.map((name, i) => [name, fields[i]])) }
  }
}

async function* jsonRows(path: string): AsyncGenerator<Row> {
  for await (const { line, text } of readLines(path)) {
    if (text.trim() === '') continue
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (error) {
      throw brokenList(path, line, `it is not JSON (${messageOf(error)})`, error)
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw brokenList(path, line, 'it is not a JSON object')
    yield { line, fields: new Map(Object.entries(value)) }
  }
}

function openList(path: string, rows: (path: string) => AsyncIterable<Row>, options: DatasetOptions): OpenedSource {
  const root = resolve(dirname(path))
  return {
    decision: `${basename(path)} is read as a list; its paths are relative to ${root.split(sep).join('/')}.`,
    async *items(signal) {
      const realRoot = await realpath(root)
      // Rows about one image (its boxes) usually follow each other: it is looked up once.
      let last: { written: string; found: Promise<FoundFile> } | undefined
      yield* mapOrdered(rows(path), lookAhead, async ({ line, fields }): Promise<DatasetItem> => {
        throwIfAborted(signal, 'Reading the data set')
        const written = textOf(field(fields, 'path'))
        if (written === undefined || written.includes('\0')) throw brokenList(path, line, 'it names no path')
        if (last?.written !== written)
          last = { written, found: findFile(written, root, realRoot, options.allowOutside ?? false) }
        const found = await last.found
        const described = describe(fields)
        if (typeof described === 'string')
          return {
            id: found.path,
            path: found.path,
            size: 0,
            load: { kind: 'broken', code: 'BAD_BOX', message: described },
          }
        return { id: idOf(found.path, described.box), ...found, ...described }
      })
    },
    notes: () => [],
  }
}

/** A table with a header: path, and as wanted label, split, group, x, y, w, h. */
export const csv: DatasetSource = {
  id: 'csv',
  form: 'a .csv or .tsv list with a column "path" (and label, split, group, x, y, w, h)',
  recognises: async (path, isFolder) => !isFolder && /\.(csv|tsv)$/i.test(path),
  open: async (path, options) => openList(path, csvRows, options),
}

/** One JSON object a line, with the same names; a box may be `"box": [x, y, w, h]`. */
export const jsonl: DatasetSource = {
  id: 'jsonl',
  form: 'a .jsonl list of objects with the same names',
  recognises: async (path, isFolder) => !isFolder && /\.(jsonl|ndjson)$/i.test(path),
  open: async (path, options) => openList(path, jsonRows, options),
}

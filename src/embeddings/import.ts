import { open, readFile } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { Fc7Error, messageOf } from '../base/errors.js'
import { sha256, sha256File } from '../base/files.js'
import { commitShard } from './store/commit.js'
import { finishStore, prepareOut } from './store/finish.js'
import type { ExtractionItem } from './store/job.js'
import type { Manifest } from './store/layout.js'
import { encodePlan, planExtraction, shardRange } from './store/plan.js'
import { imageId } from './store/views.js'

/** A matrix made elsewhere: rows are asked for in order, a run at a time. */
interface Foreign {
  readonly rows: number
  readonly dim: number
  read(start: number, end: number): Promise<Float32Array>
  /** What is known of the rows; missing where the file says nothing. */
  readonly index?: readonly IndexRow[] | undefined
}

interface IndexRow {
  readonly id?: string | undefined
  readonly path?: string | undefined
  readonly label?: string | null | undefined
  readonly split?: string | null | undefined
  readonly group?: string | null | undefined
  readonly view?: number | undefined
}

const bad = (path: string, reason: string, hint: string): Fc7Error =>
  new Fc7Error('IMPORT_BAD', `${path}: ${reason}.`, { hint })

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

const orNull = (text: string | undefined): string | null => (text === undefined || text === '' ? null : text)

function indexOfRecords(header: readonly string[], records: readonly string[][]): IndexRow[] {
  const at = (name: string): number => header.indexOf(name)
  const [id, path, label, split, group] = [at('id'), at('path'), at('label'), at('split'), at('group')]
  const view = at('view')
  return records.map((record) => ({
    ...(id < 0 ? {} : { id: record[id]! }),
    ...(path < 0 ? {} : { path: record[path]! }),
    ...(label < 0 ? {} : { label: orNull(record[label]) }),
    ...(split < 0 ? {} : { split: orNull(record[split]) }),
    ...(group < 0 ? {} : { group: orNull(record[group]) }),
    ...(view < 0 ? {} : { view: Number(record[view]) }),
  }))
}

/** Number of a row's view; 0 where none is given. @throws Fc7Error IMPORT_BAD */
function viewOf(path: string, row: IndexRow | undefined, number: number): number {
  const view = Number(row?.view ?? 0)
  if (Number.isInteger(view) && view >= 0 && view <= 65_535) return view
  throw bad(path, `row ${number} has the view ${row?.view}`, 'A view is 0 for the image itself, else its number.')
}

const npyTypes: Readonly<Record<string, { readonly bytes: number; read(buffer: Buffer): ArrayLike<number> }>> = {
  '<f4': { bytes: 4, read: (buffer) => new Float32Array(new Uint8Array(buffer).buffer) },
  '<f8': { bytes: 8, read: (buffer) => new Float64Array(new Uint8Array(buffer).buffer) },
}

async function openNpy(path: string): Promise<Foreign> {
  const handle = await open(path, 'r')
  try {
    const { size } = await handle.stat()
    const head = Buffer.alloc(Math.min(size, 4096))
    await handle.read(head, 0, head.length, 0)
    if (head.length < 12 || head.subarray(0, 6).toString('latin1') !== '\x93NUMPY')
      throw bad(path, 'it is not a .npy file', 'Write it with numpy.save.')
    const wide = head[6]! > 1
    const headerLength = wide ? head.readUInt32LE(8) : head.readUInt16LE(8)
    const dataStart = (wide ? 12 : 10) + headerLength
    const header = head.subarray(wide ? 12 : 10, dataStart).toString('latin1')
    const descr = /'descr': '([^']+)'/.exec(header)?.[1] ?? ''
    const shape = /'shape': \((\d+), (\d+),?\)/.exec(header)
    const type = npyTypes[descr]
    if (!type || !shape || !/'fortran_order': False/.test(header)) {
      throw bad(
        path,
        `its header ${header.trim().slice(0, 120)} is not a C-ordered float32 or float64 matrix`,
        'Save np.ascontiguousarray(x, dtype=np.float32).',
      )
    }
    const [rows, dim] = [Number(shape[1]), Number(shape[2])]
    if (!Number.isSafeInteger(rows * dim * type.bytes) || size !== dataStart + rows * dim * type.bytes) {
      throw bad(
        path,
        `it has ${size} bytes, its header promises ${dataStart + rows * dim * type.bytes}`,
        'The file is cut off or damaged: copy it again.',
      )
    }
    return {
      rows,
      dim,
      async read(start, end) {
        const file = await open(path, 'r')
        try {
          const buffer = Buffer.alloc((end - start) * dim * type.bytes)
          await file.read(buffer, 0, buffer.length, dataStart + start * dim * type.bytes)
          return Float32Array.from(type.read(buffer))
        } finally {
          await file.close()
        }
      },
    }
  } finally {
    await handle.close()
  }
}

async function openCsv(path: string): Promise<Foreign> {
  const [header, ...records] = parseCsv(await readFile(path, 'utf8'))
  if (!header || records.length === 0)
    throw bad(path, 'it holds no rows', 'The first line names the columns, each other line is a row.')
  const known = new Set(['id', 'path', 'label', 'split', 'group', 'view', 'row'])
  const columns = header.map((name, i) => ({ name, i })).filter(({ name }) => !known.has(name))
  const dim = columns.length
  const values = new Float32Array(records.length * dim)
  records.forEach((record, row) => {
    columns.forEach(({ i, name }, j) => {
      const value = record[i] === undefined || record[i] === '' ? Number.NaN : Number(record[i])
      if (Number.isNaN(value))
        throw bad(
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

async function openParquet(path: string): Promise<Foreign> {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await import('hyparquet')
  const file = await asyncBufferFromFile(path)
  const metadata = await parquetMetadataAsync(file)
  const rows = Number(metadata.num_rows)
  const names = metadata.schema.filter((element) => element.name !== 'root').map((element) => element.name)
  const text = ['id', 'path', 'label', 'split', 'group', 'view'].filter((name) => names.includes(name))
  const [first] = await parquetReadObjects({ file, metadata, rowStart: 0, rowEnd: 1 })
  const vector = Object.entries(first ?? {}).find(([, value]) => Array.isArray(value) || ArrayBuffer.isView(value))?.[0]
  if (!first || !vector)
    throw bad(path, 'it has no column of vectors', 'A list column of floats is taken as the embedding.')
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
          throw bad(
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

const readers: Readonly<Record<string, (path: string) => Promise<Foreign>>> = {
  '.npy': openNpy,
  '.csv': openCsv,
  '.parquet': openParquet,
}

export interface ImportOptions {
  readonly out: string
  /** CSV with a line a row: `label`, or id, path, label, split, group, view by name. */
  readonly labels?: string | undefined
  /** What the embeddings are called where a backbone would be named. Default the file's name. */
  readonly name?: string | undefined
  readonly force?: boolean | undefined
}

/**
 * Makes a store of embeddings that were computed elsewhere, so that every later command takes them. Reads `.npy`
 * (float32 or float64 matrix), `.parquet` (a list column and optional id, path, label, split, group, view) and `.csv`.
 *
 * @throws Fc7Error IMPORT_BAD, USAGE_IMPORT
 */
export async function importEmbeddings(path: string, options: ImportOptions): Promise<Manifest> {
  const reader = readers[extname(path).toLowerCase()]
  if (!reader)
    throw new Fc7Error('USAGE_IMPORT', `${path} is not a .npy, .parquet or .csv file.`, {
      hint: 'Export it to one of these.',
    })
  let foreign: Foreign
  try {
    foreign = await reader(path)
  } catch (error) {
    if (error instanceof Fc7Error) throw error
    throw bad(path, messageOf(error), 'Is the file there, and whole?')
  }
  let index = foreign.index
  if (options.labels) {
    const [header = [], ...records] = parseCsv(await readFile(options.labels, 'utf8'))
    if (records.length !== foreign.rows)
      throw bad(
        options.labels,
        `it has ${records.length} rows, ${path} has ${foreign.rows}`,
        'It needs a header line, then a line for each row.',
      )
    const given = indexOfRecords(header.includes('label') || header.length > 1 ? header : ['label'], records)
    index = given.map((row, i) => ({ ...index?.[i], ...row }))
  }
  const name = options.name ?? basename(path)
  const plan = planExtraction({
    dataset: {
      name: basename(path),
      items: foreign.rows,
      fingerprint: sha256(JSON.stringify([foreign.rows, foreign.dim, index ?? null])),
    },
    backbone: { id: name, sha256: await sha256File(path) },
    layers: [{ name: 'imported', tensor: 'imported', dim: foreign.dim }],
    pool: 'none',
    recipe: null,
    provider: 'none',
    thumbs: false,
  })
  await prepareOut(options.out, plan, options.force ?? false)
  const { hash } = encodePlan(plan)
  for (let i = 0; i < plan.shards.length; i++) {
    const { start, end } = shardRange(plan, i)
    const data = (await foreign.read(start, end)) as Float32Array<ArrayBuffer>
    const items = Array.from({ length: end - start }, (_, j) => {
      const row = index?.[start + j]
      const item: ExtractionItem = {
        id: imageId(row?.id ?? String(start + j), viewOf(path, row, start + j)),
        path: row?.path ?? row?.id ?? String(start + j),
        label: row?.label ?? null,
        split: row?.split ?? null,
        group: row?.group ?? null,
        source: null,
      }
      return {
        item,
        first: true,
        last: true,
        view: viewOf(path, row, start + j),
        decoded: { ok: true as const, sha256: '' },
      }
    })
    await commitShard({
      out: options.out,
      plan,
      planHash: hash,
      shard: i,
      batches: [
        {
          items,
          result: { outputs: [{ name: 'layer:imported', dims: [end - start, foreign.dim], data }], milliseconds: 0 },
        },
      ],
    })
  }
  return (await finishStore(options.out, plan, hash))!
}

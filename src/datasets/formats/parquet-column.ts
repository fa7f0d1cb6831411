import type { FileMetaData } from 'hyparquet'
import { parquetSchema } from 'hyparquet'
import { parquetHeader, readPage } from 'hyparquet/src/column.js'
import { DEFAULT_PARSERS } from 'hyparquet/src/convert.js'
import { getTreePath } from 'hyparquet/src/schema.js'
import { readPart } from './parquet-bytes.js'
import { inflate } from './parquet-codecs.js'

const maxPageBytes = 256 << 20
const maxPageValues = 1 << 24
/** gzip's best is 1,032 to 1; a page that promises more is lying. */
const maxInflation = 1100
const headerWindowBytes = [1 << 14, 1 << 20] as const
const cachedPages = 4

type Decoder = Parameters<typeof readPage>[2]
type Dictionary = Parameters<typeof readPage>[3]
/** A Parquet file whose footer was checked. */
export interface ParquetFooter {
  readonly path: string
  /** Bytes. */
  readonly size: number
  readonly metadata: FileMetaData
}

/** One decoded page: values by row, and the row of the group it begins with. */
interface Page {
  readonly firstRow: number
  readonly values: readonly unknown[]
}

/** Where a value is, so that it can be read again. */
export interface CellRef {
  readonly group: number
  readonly offset: number
  readonly index: number
}

/** hyparquet nests a value in one array for every optional level above it. */
function unwrap(value: unknown): unknown {
  let inner = value
  while (Array.isArray(inner)) inner = inner[0]
  return inner ?? undefined
}

/** One column without repetition, read page by page with every size checked before anything is allocated. */
export class ParquetColumn {
  readonly #file: ParquetFooter
  readonly path: readonly string[]
  readonly #pages = new Map<string, Page>()
  /** Dictionaries of the last few row groups; undefined for a group that has none. */
  readonly #dictionaries = new Map<number, Dictionary>()

  constructor(file: ParquetFooter, path: readonly string[]) {
    this.#file = file
    this.path = path
  }

  #chunk(group: number): { start: number; end: number; rows: number; decoder: Decoder } {
    const { metadata, size } = this.#file
    const rowGroup = metadata.row_groups[group]!
    const name = this.path.join('.')
    const meta = rowGroup.columns.find((column) => column.meta_data?.path_in_schema.join('.') === name)?.meta_data
    if (!meta) throw new Error(`row group ${group} has no column ${name}`)
    const first = Number(meta.data_page_offset)
    const dictionary = Number(meta.dictionary_page_offset ?? 0n)
    const start = dictionary > 0 && dictionary < first ? dictionary : first
    const end = start + Number(meta.total_compressed_size)
    if (!(start >= 4 && end > start && end <= size)) throw new Error(`column ${name} lies outside the file`)
    const schemaPath = getTreePath(parquetSchema(metadata), [...this.path])
    const element = schemaPath.at(-1)!.element
    const decoder: Decoder = {
      pathInSchema: [...this.path],
      type: meta.type,
      element,
      schemaPath,
      codec: meta.codec,
      parsers: DEFAULT_PARSERS,
      compressors: inflate,
      utf8: false,
    }
    return { start, end, rows: Number(rowGroup.num_rows), decoder }
  }

  /** Reads and checks the header at `offset`. */
  async #header(offset: number, end: number, codec: string) {
    for (const window of headerWindowBytes) {
      const length = Math.min(window, end - offset)
      const reader = { view: new DataView(await readPart(this.#file.path, offset, length)), offset: 0 }
      let header: ReturnType<typeof parquetHeader>
      try {
        header = parquetHeader(reader)
      } catch (error) {
        if (window === headerWindowBytes.at(-1) || length === end - offset) throw error
        continue
      }
      const packed = header.compressed_page_size
      const unpacked = header.uncompressed_page_size
      const data = offset + reader.offset
      const values =
        (header.data_page_header ?? header.data_page_header_v2 ?? header.dictionary_page_header)?.num_values ?? 0
      const fits = (n: number, limit: number): boolean => Number.isInteger(n) && n >= 0 && n <= limit
      if (!fits(packed, end - data)) throw new Error('a page is larger than its column')
      if (!fits(unpacked, Math.min(maxPageBytes, packed * maxInflation + 1024)))
        throw new Error(`a page claims to unpack to ${unpacked} bytes`)
      if (codec === 'UNCOMPRESSED' && unpacked !== packed) throw new Error('a page’s two sizes differ')
      if (!fits(values, maxPageValues)) throw new Error(`a page claims to hold ${values} values`)
      const encoding = header.data_page_header?.encoding ?? header.data_page_header_v2?.encoding
      // Each value repeats the beginning of the one before: a small page can unpack to any size.
      if (encoding === 'DELTA_BYTE_ARRAY' && values * unpacked > maxPageBytes * 4)
        throw new Error('a page of shared beginnings is too large')
      return { header, data, values }
    }
    throw new Error('a page header is too large')
  }

  /** The dictionary of a row group: its column's first page, if that is one. */
  async #dictionary(group: number, dataOffset: number): Promise<Dictionary> {
    if (this.#dictionaries.has(group)) return this.#dictionaries.get(group)
    const { start } = this.#chunk(group)
    const found = start === dataOffset ? undefined : (await this.#decode(start, group)).dictionary
    this.#dictionaries.set(group, found)
    while (this.#dictionaries.size > cachedPages) this.#dictionaries.delete(this.#dictionaries.keys().next().value!)
    return found
  }

  async #decode(
    offset: number,
    group: number,
  ): Promise<{ values: readonly unknown[]; next: number; dictionary?: Dictionary | undefined }> {
    const { end, rows, decoder } = this.#chunk(group)
    const { header, data, values } = await this.#header(offset, end, decoder.codec)
    const next = data + header.compressed_page_size
    const isDictionary = header.type === 'DICTIONARY_PAGE'
    const isData = header.type === 'DATA_PAGE' || header.type === 'DATA_PAGE_V2'
    if (!isDictionary && !isData) return { values: [], next }
    if (isData && values > rows) throw new Error(`a page claims ${values} of ${rows} rows`)
    if (isDictionary && values * 4 > header.uncompressed_page_size && decoder.type === 'BYTE_ARRAY')
      throw new Error('a dictionary claims more values than it has bytes')
    if (isData && values === 0) return { values: [], next }
    const bytes = await readPart(this.#file.path, data, header.compressed_page_size)
    const reader = { view: new DataView(bytes), offset: 0 }
    const dictionary = isData ? await this.#dictionary(group, offset) : undefined
    const result = readPage(reader, header, decoder, dictionary, undefined, 0)
    const decoded = (result.data ?? []) as ArrayLike<unknown>
    // A dictionary's values stay raw; texts among them are decoded where they are used.
    if (isDictionary) return { values: [], next, dictionary: decoded as Dictionary }
    return { values: Array.from(decoded, unwrap), next }
  }

  #remember(group: number, offset: number, page: Page): void {
    const key = `${group}:${offset}`
    this.#pages.delete(key)
    this.#pages.set(key, page)
    while (this.#pages.size > cachedPages) this.#pages.delete(this.#pages.keys().next().value!)
  }

  /** The values of a row group one by one, each with where it is. */
  async *cells(group: number): AsyncGenerator<{ value: unknown; ref: CellRef }> {
    const { start, end, rows } = this.#chunk(group)
    let row = 0
    for (let offset = start; offset < end && row < rows; ) {
      const { values, next } = await this.#decode(offset, group)
      if (values.length > 0) this.#remember(group, offset, { firstRow: row, values })
      for (let index = 0; index < values.length && row < rows; index++, row++)
        yield { value: values[index], ref: { group, offset, index } }
      offset = next
    }
    if (row < rows) throw new Error(`the column holds ${row} of ${rows} rows`)
  }

  /** A value by its place: from the last few pages, or read again. */
  async cell(ref: CellRef): Promise<unknown> {
    let page = this.#pages.get(`${ref.group}:${ref.offset}`)
    if (!page) {
      page = { firstRow: 0, values: (await this.#decode(ref.offset, ref.group)).values }
      this.#remember(ref.group, ref.offset, page)
    }
    return page.values[ref.index]
  }
}

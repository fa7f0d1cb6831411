import { realpath } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { z } from 'zod'
import { Fc7Error, messageOf, throwIfAborted } from '../../base/errors.js'
import { counted } from '../../base/text.js'
import type { DatasetItem, DatasetSource, ItemLoad } from '../contract.js'
import { splitOf, splitOfShard } from '../formats/names.js'
import { findFile } from '../formats/outside.js'
import type { CellRef, ParquetColumn } from '../formats/parquet-column.js'
import type { ParquetFile } from '../formats/parquet-file.js'
import { textOf } from '../formats/records.js'
import { isShardFolder, shardsOf } from '../formats/shards.js'

const featureSchema = z.looseObject({ _type: z.string().optional(), names: z.array(z.string()).optional() })
const huggingFaceSchema = z.object({ info: z.object({ features: z.record(z.string(), z.unknown()) }) })

/** The reader is loaded when there is a Parquet file to read. */
const openFile = async (path: string): Promise<ParquetFile> =>
  (await import('../formats/parquet-file.js')).ParquetFile.open(path)

/** The columns' kinds and class names as Hugging Face's `datasets` writes them into the schema's metadata. */
function readFeatures(file: ParquetFile): ReadonlyMap<string, z.infer<typeof featureSchema>> {
  const text = file.metadata.key_value_metadata?.find((entry) => entry.key === 'huggingface')?.value
  if (text === undefined) return new Map()
  try {
    const { features } = huggingFaceSchema.parse(JSON.parse(text)).info
    return new Map(Object.entries(features).map(([name, value]) => [name, featureSchema.safeParse(value).data ?? {}]))
  } catch {
    // Somebody else's metadata under that name: the columns' names have to do.
    return new Map()
  }
}

/** Which columns are used. */
interface Columns {
  readonly bytes: readonly string[] | undefined
  readonly path: readonly string[] | undefined
  readonly label: readonly string[] | undefined
  readonly names: readonly string[] | undefined
  readonly split: readonly string[] | undefined
  readonly group: readonly string[] | undefined
}

/** Chooses the columns: what the metadata calls an Image and a ClassLabel, else by customary names. */
function chooseColumns(file: ParquetFile): Columns {
  const features = readFeatures(file)
  const leaves = file.leaves()
  const leaf = (...path: string[]): readonly string[] | undefined =>
    leaves.find((one) => one.path.length === path.length && one.path.every((part, i) => part === path[i]))?.path
  const ofType = (type: string): string[] =>
    [...features].filter(([, feature]) => feature._type === type).map(([name]) => name)
  const first = (names: readonly string[]): readonly string[] | undefined => {
    for (const name of names) if (leaf(name)) return leaf(name)
    return undefined
  }
  let bytes: readonly string[] | undefined
  let path: readonly string[] | undefined
  // Names that other people’s files carry.
  for (const name of [...ofType('Image'), 'image', 'img', 'picture', 'photo', 'jpg', 'png', 'bytes']) {
    const plain = leaves.find((one) => one.path.length === 1 && one.path[0] === name && one.type === 'BYTE_ARRAY')
    bytes = leaf(name, 'bytes') ?? (plain && !plain.isText ? plain.path : undefined)
    path = leaf(name, 'path') ?? (plain?.isText ? plain.path : undefined)
    if (bytes ?? path) break
  }
  if (!bytes && !path) {
    throw new Fc7Error('PARQUET_NO_IMAGES', `${file.path} has no column of images.`, {
      hint:
        'It should have "image" with bytes and path, as Hugging Face data sets do. Its columns: ' +
        `${leaves.map((one) => one.path.join('.')).join(', ')}.`,
    })
  }
  const label = first([...ofType('ClassLabel'), 'label', 'labels', 'class', 'category', 'target', 'fine_label'])
  const names = label && features.get(label[0]!)?.names
  return { bytes, path, label, names, split: first(['split']), group: first(['group', 'groups', 'patient']) }
}

/** A label cell: a class number is given its name; -1 and other numbers without a name mean none. */
function labelOf(value: unknown, names: readonly string[] | undefined): string | undefined {
  if (names && (typeof value === 'number' || typeof value === 'bigint')) return names[Number(value)]
  return cellText(value)
}

const cellText = (value: unknown): string | undefined =>
  textOf(value instanceof Uint8Array ? new TextDecoder().decode(value.subarray(0, 4096)) : value)

type Cells = AsyncGenerator<{ value: unknown; ref: CellRef }> | undefined
const nextValue = async (cells: Cells): Promise<unknown> => (await cells?.next())?.value?.value

/** A Parquet file as items, a row group at a time. */
class ParquetShard {
  readonly #file: ParquetFile
  readonly #columns: Columns
  readonly #allowOutside: boolean
  readonly #name: string
  readonly #folder: string
  /** One reader a column for the whole file, so that items that are kept share its few pages. */
  readonly #readers = new Map<string, ParquetColumn>()

  /** @throws Fc7Error PARQUET_NO_IMAGES, PARQUET_CODEC */
  constructor(file: ParquetFile, allowOutside: boolean) {
    this.#file = file
    this.#columns = chooseColumns(file)
    this.#allowOutside = allowOutside
    this.#name = basename(file.path)
    this.#folder = resolve(dirname(file.path))
    const { bytes, path, label, split, group } = this.#columns
    for (const used of [bytes, path, label, split, group]) {
      const codec = used && file.unsupportedCodec(used)
      if (codec) {
        throw new Fc7Error(
          'PARQUET_CODEC',
          `${file.path} is compressed with ${codec}, which this Node cannot unpack.`,
          {
            hint: 'Write it with snappy compression, or use a newer Node for ZSTD.',
          },
        )
      }
    }
  }

  /** A row group that cannot be read is one broken item; the others still count. @throws Fc7Error INTERRUPTED */
  async *items(signal: AbortSignal | undefined): AsyncGenerator<DatasetItem> {
    let firstRow = 0
    for (let group = 0; group < this.#file.metadata.row_groups.length; group++) {
      try {
        for await (const item of this.#groupItems(group, firstRow)) {
          throwIfAborted(signal, 'Reading the data set')
          yield item
        }
      } catch (error) {
        if (error instanceof Fc7Error) throw error
        const id = `${this.#name}#group=${group}`
        yield { id, path: id, size: 0, load: { kind: 'broken', code: 'PARQUET_BROKEN', message: messageOf(error) } }
      }
      firstRow += this.#rows(group)
    }
  }

  #rows(group: number): number {
    return Number(this.#file.metadata.row_groups[group]!.num_rows)
  }

  #reader(path: readonly string[] | undefined): ParquetColumn | undefined {
    if (!path) return undefined
    const key = path.join('.')
    const reader = this.#readers.get(key) ?? this.#file.column(path)
    this.#readers.set(key, reader)
    return reader
  }

  async *#groupItems(group: number, firstRow: number): AsyncGenerator<DatasetItem> {
    const columns = this.#columns
    const byteReader = this.#reader(columns.bytes)
    const bytes = byteReader?.cells(group)
    const [paths, labels, splits, groups] = [columns.path, columns.label, columns.split, columns.group].map((path) =>
      this.#reader(path)?.cells(group),
    )
    const realFolder = await realpath(this.#folder)
    for (let i = 0; i < this.#rows(group); i++) {
      const cell = (await bytes?.next())?.value as { value: unknown; ref: CellRef } | undefined
      const written = cellText(await nextValue(paths))
      const label = labelOf(await nextValue(labels), columns.names)
      const splitText = cellText(await nextValue(splits))
      const split = splitText === undefined ? splitOfShard(this.#name) : (splitOf(splitText) ?? splitText)
      const itsGroup = cellText(await nextValue(groups))
      const id = `${this.#name}#row=${firstRow + i}`
      const path = written === undefined ? id : `${this.#name}/${written}`
      const { size, load } =
        cell?.value instanceof Uint8Array && byteReader
          ? bytesLoad(byteReader, cell.ref, cell.value.length)
          : await this.#fileLoad(written, realFolder)
      yield { id, path, size, label, split, group: itsGroup, load }
    }
  }

  /** An image that the row names by its path. */
  async #fileLoad(written: string | undefined, realFolder: string): Promise<Pick<DatasetItem, 'size' | 'load'>> {
    if (written === undefined || written.includes('\0')) return { size: 0, load: noBytes }
    return findFile(written, this.#folder, realFolder, this.#allowOutside)
  }
}

const noBytes: ItemLoad = { kind: 'broken', code: 'EMPTY', message: 'it has no bytes' }

/** An image whose bytes stand in a cell: they are read again when they are wanted. */
function bytesLoad(column: ParquetColumn, ref: CellRef, size: number): Pick<DatasetItem, 'size' | 'load'> {
  if (size === 0) return { size, load: noBytes }
  return { size, load: { kind: 'bytes', read: async () => (await column.cell(ref)) as Uint8Array } }
}

/** Parquet files with images in them, as Hugging Face data sets are stored. */
export const parquet: DatasetSource = {
  id: 'parquet',
  form: '.parquet files with an image column, one or a folder of them',
  recognises: (path, isFolder) => isShardFolder(path, isFolder, '.parquet'),
  async open(path, options) {
    const shards = await shardsOf(path, '.parquet')
    const file = await openFile(shards[0]!)
    const columns = chooseColumns(file)
    const from = columns.label ? `labels from its column "${columns.label.join('.')}"` : 'without labels'
    return {
      decision:
        `${basename(path)} is read as ${counted(shards.length, 'Parquet file')}: images from ` +
        `"${(columns.bytes ?? columns.path)!.join('.')}", ${from}.`,
      async *items(signal) {
        for (const shard of shards)
          yield* new ParquetShard(await openFile(shard), options.allowOutside ?? false).items(signal)
      },
      notes: () => [],
    }
  },
}

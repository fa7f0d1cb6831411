import { realpath } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { z } from 'zod'
import { Fc7Error, messageOf, throwIfAborted } from '../../base/errors.js'
import type { DatasetItem, DatasetOptions, DatasetSource, ItemLoad } from '../contract.js'
import { splitOf, splitOfShard } from '../formats/names.js'
import { findFile } from '../formats/outside.js'
import type { CellRef, ParquetColumn, ParquetFile } from '../formats/parquet.js'
import { textOf } from '../formats/records.js'
import { isShardFolder, shardsOf } from '../formats/shards.js'

const featureSchema = z.looseObject({ _type: z.string().optional(), names: z.array(z.string()).optional() })
const huggingFaceSchema = z.object({ info: z.object({ features: z.record(z.string(), z.unknown()) }) })

/** The reader is loaded when there is a Parquet file to read. */
const openFile = async (path: string): Promise<ParquetFile> =>
  (await import('../formats/parquet.js')).ParquetFile.open(path)

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
  // Also "picture": other people’s files carry it.
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

async function* groupItems(
  file: ParquetFile,
  columns: Columns,
  columnOf: (path: readonly string[]) => ParquetColumn,
  group: number,
  firstRow: number,
  options: DatasetOptions,
): AsyncGenerator<DatasetItem> {
  const shard = basename(file.path)
  const rows = Number(file.metadata.row_groups[group]!.num_rows)
  const cellsOf = (path: readonly string[] | undefined): [ParquetColumn | undefined, Cells] => {
    const column = path && columnOf(path)
    return [column, column?.cells(group)]
  }
  const [byteColumn, bytes] = cellsOf(columns.bytes)
  const [, paths] = cellsOf(columns.path)
  const [, labels] = cellsOf(columns.label)
  const [, splits] = cellsOf(columns.split)
  const [, groups] = cellsOf(columns.group)
  const folder = resolve(dirname(file.path))
  const realFolder = await realpath(folder)
  for (let i = 0; i < rows; i++) {
    const cell = (await bytes?.next())?.value as { value: unknown; ref: CellRef } | undefined
    const written = cellText(await nextValue(paths))
    const label = labelOf(await nextValue(labels), columns.names)
    const splitText = cellText(await nextValue(splits))
    const split = splitText === undefined ? splitOfShard(shard) : (splitOf(splitText) ?? splitText)
    const itsGroup = cellText(await nextValue(groups))
    const id = `${shard}#row=${firstRow + i}`
    let size = 0
    let load: ItemLoad = { kind: 'broken', code: 'EMPTY', message: 'it has no bytes' }
    if (cell?.value instanceof Uint8Array && byteColumn) {
      const { ref } = cell
      size = cell.value.length
      if (size > 0) load = { kind: 'bytes', read: async () => (await byteColumn.cell(ref)) as Uint8Array }
    } else if (written !== undefined && !written.includes('\0')) {
      ;({ size, load } = await findFile(written, folder, realFolder, options.allowOutside ?? false))
    }
    yield {
      id,
      path: written === undefined ? id : `${shard}/${written}`,
      size,
      label,
      split,
      group: itsGroup,
      load,
    }
  }
}

async function* shardItems(
  path: string,
  options: DatasetOptions,
  signal: AbortSignal | undefined,
): AsyncGenerator<DatasetItem> {
  const shard = basename(path)
  const file = await openFile(path)
  const columns = chooseColumns(file)
  for (const used of [columns.bytes, columns.path, columns.label, columns.split, columns.group]) {
    const codec = used && file.unsupportedCodec(used)
    if (codec) {
      throw new Fc7Error('PARQUET_CODEC', `${path} is compressed with ${codec}, which this Node cannot unpack.`, {
        hint: 'Write it with snappy compression, or use a newer Node for ZSTD.',
      })
    }
  }
  // One reader a column for the whole file, so that items that are kept share its few pages.
  const open = new Map<string, ParquetColumn>()
  const columnOf = (path: readonly string[]): ParquetColumn => {
    const known = open.get(path.join('.')) ?? file.column(path)
    open.set(path.join('.'), known)
    return known
  }
  let firstRow = 0
  for (let group = 0; group < file.metadata.row_groups.length; group++) {
    try {
      for await (const item of groupItems(file, columns, columnOf, group, firstRow, options)) {
        throwIfAborted(signal, 'Reading the data set')
        yield item
      }
    } catch (error) {
      if (error instanceof Fc7Error) throw error
      const id = `${shard}#group=${group}`
      yield { id, path: id, size: 0, load: { kind: 'broken', code: 'PARQUET_BROKEN', message: messageOf(error) } }
    }
    firstRow += Number(file.metadata.row_groups[group]!.num_rows)
  }
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
        `${basename(path)} is read as ${shards.length} Parquet file${shards.length === 1 ? '' : 's'}: images from ` +
        `"${(columns.bytes ?? columns.path)!.join('.')}", ${from}.`,
      async *items(signal) {
        for (const shard of shards) yield* shardItems(shard, options, signal)
      },
      notes: () => [],
    }
  },
}

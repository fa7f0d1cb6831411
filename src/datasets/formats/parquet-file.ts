import { open } from 'node:fs/promises'
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetSchema } from 'hyparquet'
import { getMaxRepetitionLevel, getTreePath } from 'hyparquet/src/schema.js'
import { Fc7Error, messageOf } from '../../base/errors.js'
import { readPart } from './parquet-bytes.js'
import { canInflate } from './parquet-codecs.js'
import { ParquetColumn, type ParquetFooter } from './parquet-column.js'

const maxFooterBytes = 64 << 20

/** A Parquet file's footer, checked, and its columns. */
export class ParquetFile implements ParquetFooter {
  readonly path: string
  readonly size: number
  readonly metadata: FileMetaData

  private constructor(path: string, size: number, metadata: FileMetaData) {
    this.path = path
    this.size = size
    this.metadata = metadata
  }

  /** @throws Fc7Error PARQUET_BROKEN */
  static async open(path: string): Promise<ParquetFile> {
    try {
      const handle = await open(path, 'r')
      const size = (await handle.stat().finally(() => handle.close())).size
      if (size < 12) throw new Error('it is too short')
      const tail = new DataView(await readPart(path, size - 8, 8))
      if (tail.getUint32(0, true) > Math.min(maxFooterBytes, size - 12)) throw new Error('its footer’s length is wrong')
      const file: AsyncBuffer = {
        byteLength: size,
        slice: (start, end = size) => readPart(path, start, end - start),
      }
      const metadata = await parquetMetadataAsync(file, { geoparquet: false })
      parquetSchema(metadata)
      return new ParquetFile(path, size, metadata)
    } catch (error) {
      throw new Fc7Error('PARQUET_BROKEN', `${path} cannot be read as Parquet: ${messageOf(error)}.`, {
        hint: 'Is it the right file, and whole?',
        cause: error,
      })
    }
  }

  /** The paths of all columns without repetition, with whether the file says that they are text. */
  leaves(): { path: string[]; type: string; isText: boolean }[] {
    const out: { path: string[]; type: string; isText: boolean }[] = []
    const visit = (node: ReturnType<typeof parquetSchema>): void => {
      for (const child of node.children) visit(child)
      const { type, converted_type, logical_type } = node.element
      if (node.children.length > 0 || node.path.length === 0 || type === undefined) return
      if (getMaxRepetitionLevel(getTreePath(parquetSchema(this.metadata), node.path)) > 0) return
      out.push({ path: node.path, type, isText: converted_type === 'UTF8' || logical_type?.type === 'STRING' })
    }
    visit(parquetSchema(this.metadata))
    return out
  }

  column(path: readonly string[]): ParquetColumn {
    return new ParquetColumn(this, path)
  }

  /** Compression methods of a column that cannot be undone here. */
  unsupportedCodec(path: readonly string[]): string | undefined {
    for (const group of this.metadata.row_groups) {
      const codec = group.columns.find((column) => column.meta_data?.path_in_schema.join('.') === path.join('.'))
        ?.meta_data?.codec
      if (codec !== undefined && !canInflate(codec)) return codec
    }
    return undefined
  }
}

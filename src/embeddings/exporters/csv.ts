import { writeFileWith } from '../../base/files.js'
import type { ExportChunk, Exporter } from './contract.js'

/** A cell as RFC 4180 writes it. */
export function csvCell(value: string | number | null): string {
  const text = value === null ? '' : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

export const indexHeader = 'row,id,path,label,split,group,view\n'

/** The rows' identities as CSV lines, `first` being the number of the first row. */
export function indexLines(chunk: ExportChunk, first: number): string {
  let text = ''
  for (let i = 0; i < chunk.rows; i++) {
    const { ids, paths, labels, splits, groups, views } = chunk
    const cells = [first + i, ids[i]!, paths[i]!, labels[i]!, splits[i]!, groups[i]!, views[i]!]
    text += `${cells.map(csvCell).join(',')}\n`
  }
  return text
}

/** `x.npy` → `x.index.csv`. */
export const indexPath = (out: string): string => `${out.replace(/\.\w+$/, '')}.index.csv`

/** Writes the index that goes beside a bare matrix. */
export async function writeIndex(path: string, chunks: AsyncIterable<ExportChunk>): Promise<void> {
  await writeFileWith(path, async (file) => {
    await file.writeFile(indexHeader)
    let first = 0
    for await (const chunk of chunks) {
      await file.writeFile(indexLines(chunk, first))
      first += chunk.rows
    }
  })
}

export const csv: Exporter = {
  id: 'csv',
  summary: 'one line a row: id, path, label, split, group, view, then the values',
  extension: '.csv',
  async write(source, out) {
    await writeFileWith(out, async (file) => {
      await file.writeFile(
        `id,path,label,split,group,view,${Array.from({ length: source.dim }, (_, i) => `f${i}`).join(',')}\n`,
      )
      for await (const chunk of source.chunks()) {
        for (let i = 0; i < chunk.rows; i++) {
          const facts = [
            chunk.ids[i]!,
            chunk.paths[i]!,
            chunk.labels[i]!,
            chunk.splits[i]!,
            chunk.groups[i]!,
            chunk.views[i]!,
          ].map(csvCell)
          // JavaScript writes the shortest decimal of the float64, which reads back as the same float32.
          await file.writeFile(
            `${facts.join(',')},${chunk.values.subarray(i * source.dim, (i + 1) * source.dim).join(',')}\n`,
          )
        }
      }
    })
    return [out]
  },
}

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileWith } from '../../base/files.js'
import { visible } from '../../base/text.js'
import type { Exporter } from './contract.js'

/** Tabs and line ends would break the table: they are shown as escapes. */
const cell = (text: string | null): string => visible(text ?? '')

export const projector: Exporter = {
  id: 'projector',
  summary: 'a folder with tensors.tsv and metadata.tsv for the TensorFlow Embedding Projector',
  extension: '',
  async write(source, out) {
    await mkdir(out, { recursive: true })
    const tensors = join(out, 'tensors.tsv')
    const metadata = join(out, 'metadata.tsv')
    await writeFileWith(tensors, async (file) => {
      for await (const chunk of source.chunks()) {
        for (let i = 0; i < chunk.rows; i++)
          await file.writeFile(`${chunk.values.subarray(i * source.dim, (i + 1) * source.dim).join('\t')}\n`)
      }
    })
    await writeFileWith(metadata, async (file) => {
      await file.writeFile('id\tlabel\tsplit\n')
      for await (const chunk of source.chunks()) {
        for (let i = 0; i < chunk.rows; i++)
          await file.writeFile(`${cell(chunk.ids[i]!)}\t${cell(chunk.labels[i]!)}\t${cell(chunk.splits[i]!)}\n`)
      }
    })
    return [tensors, metadata]
  },
}

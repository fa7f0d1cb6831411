import { Fc7Error } from '../base/errors.js'
import type { EmbeddingTable } from '../embeddings/store/table.js'
import { imageId } from '../embeddings/store/views.js'
import type { TrainingSet } from './contract.js'

export type SplitName = 'train' | 'val' | 'test'

/**
 * The labelled rows of a table to train on: those of `split`, by default of the train split if the table has one, else
 * all. Classes keep the table's order; those without a row here stay in the list.
 *
 * @throws Fc7Error SPLIT_EMPTY, LABELS_MISSING
 */
export function trainingSetOf(
  table: EmbeddingTable,
  split?: SplitName | undefined,
): {
  readonly set: TrainingSet
  readonly split: SplitName | null
  /** `[rows]`, the table's row of each. */
  readonly rows: readonly number[]
} {
  const wanted = split ?? (table.splits.includes('train') ? 'train' : null)
  const inSplit = Array.from({ length: table.rows }, (_, row) => row).filter(
    (row) => wanted === null || table.splits[row] === wanted,
  )
  if (inSplit.length === 0) {
    const present = [...new Set(table.splits)].map((name) => name ?? 'none')
    throw new Fc7Error('SPLIT_EMPTY', `The store has no row of the split "${wanted}".`, {
      hint: `Its rows are of: ${present.join(', ')}.`,
    })
  }
  const rows = inSplit.filter((row) => table.labels[row] !== null)
  if (rows.length === 0) {
    throw new Fc7Error('LABELS_MISSING', 'None of the rows to train on has a label.', {
      hint: 'Put the images into one folder per class, or use a list with labels, and extract again.',
    })
  }
  const place = new Map(table.classes.map((name, i) => [name, i]))
  const hasViews = table.views.some((view) => view > 0)
  const data = new Float32Array(rows.length * table.dim)
  rows.forEach((row, i) => {
    data.set(table.x.subarray(row * table.dim, (row + 1) * table.dim), i * table.dim)
  })
  return {
    split: wanted,
    rows,
    set: {
      x: { data, rows: rows.length, cols: table.dim },
      y: Int32Array.from(rows, (row) => place.get(table.labels[row]!)!),
      classes: table.classes,
      // Views of one image are a group: a trainer that holds rows back holds back all of them.
      groups: rows.map(
        (row) => table.groups[row] ?? (hasViews ? `image ${imageId(table.ids[row]!, table.views[row]!)}` : null),
      ),
      ids: rows.map((row) => table.ids[row]!),
      ...(table.hashes ? { images: rows.map((row) => table.hashes![row] ?? null) } : {}),
    },
  }
}

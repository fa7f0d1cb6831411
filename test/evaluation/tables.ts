import { createRandom } from '../../src/base/random.js'
import type { EmbeddingTable } from '../../src/embeddings/store/table.js'

/**
 * A table of class clouds: `perClass` images of each class, `views` augmented views each, distinguished about as well
 * as `gap` says.
 */
export function cloudTable(options: {
  readonly classes: readonly string[]
  readonly perClass: number
  readonly dim?: number
  readonly gap?: number
  readonly views?: number
  readonly seed?: number
  readonly split?: (item: number) => 'train' | 'val' | 'test' | null
  readonly group?: (item: number) => string | null
}): EmbeddingTable {
  const { classes, perClass, dim = 8, gap = 2, views = 0 } = options
  const random = createRandom(`cloud ${options.seed ?? 1}`)
  const centres = classes.map(() => Array.from({ length: dim }, () => random.normal() * gap))
  const ids: string[] = []
  const labels: string[] = []
  const splits: ('train' | 'val' | 'test' | null)[] = []
  const groups: (string | null)[] = []
  const numbers: number[] = []
  const x: number[] = []
  for (let item = 0; item < classes.length * perClass; item++) {
    const k = item % classes.length
    const row = centres[k]!.map((centre) => centre + random.normal())
    for (let view = 0; view <= views; view++) {
      ids.push(view === 0 ? `${item}.png` : `${item}.png#${view}`)
      labels.push(classes[k]!)
      splits.push(options.split?.(item) ?? null)
      groups.push(options.group?.(item) ?? null)
      numbers.push(view)
      x.push(...row.map((value) => value + (view > 0 ? random.normal() * 0.01 : 0)))
    }
  }
  return {
    layer: 'pool',
    rows: ids.length,
    dim,
    x: Float32Array.from(x),
    ids,
    paths: ids,
    labels,
    splits,
    groups,
    views: Uint16Array.from(numbers),
    classes,
  }
}

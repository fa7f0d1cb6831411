import type { LoadedEvaluation } from '../../evaluation/results/load.js'
import type { ReportInput } from './input.js'

/** Label suspects and duplicate pairs as rows of their data sets; each image and each pair once. */
export function guardsOf({
  evaluation,
  items,
}: LoadedEvaluation): Pick<ReportInput, 'suspects' | 'duplicates' | 'duplicateRule'> {
  const guards = evaluation.guards
  if (guards === null) return { suspects: [], duplicates: [] }
  const place = (key: string): ReadonlyMap<string, number> =>
    new Map(items.get(key)?.ids.map((id, row) => [id, row]) ?? [])
  const dataset = (key: string): number => evaluation.datasets.findIndex((one) => one.key === key)
  const suspects = guards.suspects.flatMap((found) => {
    const rows = place(found.dataset)
    const at = dataset(found.dataset)
    return found.items.flatMap(({ id, suggested, own, other }) => {
      const row = rows.get(id)
      const label = evaluation.datasets[at]?.classes.findIndex((one) => one.label === suggested) ?? -1
      return row === undefined || label < 0
        ? []
        : [{ dataset: at, row, suggested: label, score: (1 + other - own) / 2 }]
    })
  })
  // Two tables of one data set find the same pairs: each pair once.
  const seen = new Set<string>()
  const duplicates = guards.duplicates.flatMap((found) => {
    const rows = place(found.dataset)
    return found.pairs.flatMap(({ a, b, cosine, distance, across }) => {
      const [first, second] = [rows.get(a), rows.get(b)]
      const key = JSON.stringify([found.dataset, a, b])
      if (first === undefined || second === undefined || seen.has(key)) return []
      seen.add(key)
      return [
        {
          dataset: dataset(found.dataset),
          a: first,
          b: second,
          ...(cosine === null ? {} : { cosine }),
          ...(distance === null ? {} : { bits: distance }),
          where: across ? 'across folds' : 'on one side of every fold',
        },
      ]
    })
  })
  const rule = guards.duplicates[0]?.rule
  return { suspects: onePerImage(suspects), duplicates, duplicateRule: rule }
}

function onePerImage<T extends { dataset: number; row: number; score: number }>(suspects: readonly T[]): T[] {
  const best = new Map<string, T>()
  for (const one of suspects) {
    const key = `${one.dataset}/${one.row}`
    const held = best.get(key)
    if (held === undefined || held.score < one.score) best.set(key, one)
  }
  return [...best.values()]
}

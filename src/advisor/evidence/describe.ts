import type { EmbeddingTable } from '../../embeddings/store/table.js'
import { findDuplicates } from '../../evaluation/guards/duplicates.js'
import type { Items } from '../../evaluation/plan/items.js'
import { quantile } from '../../evaluation/statistics/intervals.js'
import { pickRows } from '../../trainers/linalg/gemm.js'
import type { Advice } from '../rules/advice-file.js'
import { frechetDistance, inSourceAxes, kernelDistance, meanEntropy } from './distance.js'
import type { AdviceInput } from './input.js'
import { classCounts, openItems } from './plan.js'
import { itemSample } from './probe.js'
import { logMe, regularisedHScore } from './transferability.js'

/** Rows that LogME and the H-score are computed on: both need an eigenproblem of that size. */
const maxScored = 400

/** Size and shape of what may be looked at. */
export async function describeData(
  input: AdviceInput,
  items: Items,
  sample: readonly number[],
  { threads, signal }: { readonly threads: number; readonly signal?: AbortSignal | undefined },
): Promise<Advice['data']> {
  const { table } = input.depths.at(-1)!
  const open = openItems(items)
  const counts = [...classCounts(items, open).values()].sort((a, b) => a - b)
  const { pairs } = await findDuplicates(
    table.x,
    table.dim,
    sample.map((item) => items.rows[item]!),
    sample.map((item) => input.dHashes?.get(items.ids[item]!)),
    { threads, signal },
  )
  const groups = new Set(open.map((item) => items.groups[item]!).filter((group) => group !== null))
  return {
    name: input.name,
    images: open.length,
    unlabelled: items.unlabelled,
    used: sample.length,
    classes: counts.length,
    usedClasses: new Set(sample.map((item) => items.y[item])).size,
    perClass: { median: quantile(counts, 0.5), least: counts[0]!, most: counts.at(-1)! },
    groups: groups.size,
    duplicates: pairs.length,
    largestClass: counts.at(-1)! / open.length,
  }
}

/** How far the images lie from the source's. */
export async function describeSource(
  input: AdviceInput,
  items: Items,
  sample: readonly number[],
  threads: number,
): Promise<Advice['source']> {
  const rowsOf = (table: EmbeddingTable) =>
    pickRows(
      { data: table.x, rows: table.rows, cols: table.dim },
      sample.map((item) => items.rows[item]!),
    )
  const entropy = input.scores ? meanEntropy(rowsOf(input.scores)) : null
  if (!input.source) {
    return {
      frechet: null,
      kernel: null,
      entropy,
      note:
        `There are no statistics of ${input.backbone.id}'s own training images at this layer and recipe, so the ` +
        'distance to them is not known.',
    }
  }
  const { statistics, about } = input.source
  const moved = await inSourceAxes(rowsOf(input.depths.at(-1)!.table), statistics, threads)
  const variance = statistics.variances.reduce((sum, value) => sum + value, 0)
  return {
    frechet: frechetDistance(moved, statistics.variances) / variance,
    kernel: kernelDistance(statistics.sample, moved),
    entropy,
    note:
      `Measured against ${about}, on ${statistics.variances.length} principal components, in parts of their ` +
      'variance.',
  }
}

/** LogME and the H-score of a seeded part of the rows. */
export function weakScores(
  table: EmbeddingTable,
  items: Items,
  sample: readonly number[],
  seed: number,
): Advice['weak'] {
  const chosen = itemSample(items, sample, maxScored, seed)
  const place = new Map<number, number>()
  const y = chosen.map((item) => {
    const k = items.y[item]!
    if (!place.has(k)) place.set(k, place.size)
    return place.get(k)!
  })
  const { data, rows, cols } = pickRows(
    { data: table.x, rows: table.rows, cols: table.dim },
    chosen.map((item) => items.rows[item]!),
  )
  const set = { x: data, rows, cols, y, classes: place.size }
  return { logMe: logMe(set), hScore: regularisedHScore(set), rows }
}

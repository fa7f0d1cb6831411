import { Fc7Error } from '../../base/errors.js'
import { sourceOf } from '../../embeddings/extract/source-images.js'
import { openStore, readTable, readThumbs, type Store } from '../../embeddings/store/store.js'
import type { EmbeddingTable } from '../../embeddings/store/table.js'
import type { EvaluatedItems, LoadedEvaluation } from '../../evaluation/results/load.js'
import type { Evaluation } from '../../evaluation/results/schema.js'
import { imagesFromSource } from './images.js'
import type { ReportDataset } from './input.js'

/**
 * Every data set with what the store of its best result gives: thumbnails, map, larger images. `missing` hears what
 * is not to be had.
 */
export async function datasetsOf(loaded: LoadedEvaluation, missing: string[]): Promise<ReportDataset[]> {
  const datasets: ReportDataset[] = []
  for (const dataset of loaded.evaluation.datasets) datasets.push(await datasetOf(loaded, dataset, missing))
  return datasets
}

async function datasetOf(
  { evaluation, items }: LoadedEvaluation,
  dataset: Evaluation['datasets'][number],
  missing: string[],
): Promise<ReportDataset> {
  const own = items.get(dataset.key)!
  const table = tableOfBest(evaluation, dataset.key)
  const images = await fromStore(table, own, missing)
  return {
    name: dataset.name,
    classes: dataset.classes.map(({ label }) => label),
    ids: own.ids,
    labels: own.y,
    ...(dataset.positive === null ? {} : { positive: dataset.positive.label }),
    ...images,
  }
}

/** The table of the best result: its layer is mapped and its store gives the thumbnails. */
function tableOfBest(evaluation: Evaluation, dataset: string): Evaluation['tables'][number] | undefined {
  const best = evaluation.results.find((result) => result.dataset === dataset)
  return evaluation.tables.find(({ key }) => key === best?.table)
}

async function fromStore(
  table: Evaluation['tables'][number] | undefined,
  items: EvaluatedItems,
  missing: string[],
): Promise<Pick<ReportDataset, 'thumbnails' | 'embedding' | 'readImages'>> {
  if (!table?.store) return { thumbnails: new Map() }
  try {
    const store = await openStore(table.store.path)
    if (store.planHash !== table.store.planHash) {
      missing.push(`The store ${table.store.path} has changed since the comparison: there are no images and no map.`)
      return { thumbnails: new Map() }
    }
    const thumbs = await readThumbs(store)
    const read = await readTable(store, table.layer)
    const place = new Map(items.ids.map((id, i) => [id, i]))
    const rows: number[] = []
    const from: number[] = []
    read.ids.forEach((id, row) => {
      const item = place.get(id)
      if (read.views[row] !== 0 || item === undefined) return
      rows.push(item)
      from.push(row)
    })
    const data = new Float32Array(rows.length * read.dim)
    from.forEach((row, i) => {
      data.set(read.x.subarray(row * read.dim, (row + 1) * read.dim), i * read.dim)
    })
    if (thumbs.size === 0) missing.push(`The store ${table.store.path} holds no thumbnails.`)
    const readImages = await sourceReader(store, read)
    return {
      readImages,
      thumbnails: new Map([...thumbs].map(([id, { webp }]) => [id, webp])),
      embedding: {
        title: `${table.store.backbone}, layer ${table.layer}`,
        rows: Int32Array.from(rows),
        data,
        cols: read.dim,
      },
    }
  } catch (error) {
    if (!(error instanceof Fc7Error)) throw error
    missing.push(`There are no images and no map: ${error.message}`)
    return { thumbnails: new Map() }
  }
}

/**
 * Reads larger images where the store's own came from; undefined where the store does not say, or has no hashes to
 * check with.
 */
async function sourceReader(store: Store, table: EmbeddingTable): Promise<ReportDataset['readImages']> {
  const source = await sourceOf(store.path)
  if (source === undefined) return undefined
  const hashes = new Map<string, string>()
  table.ids.forEach((id, row) => {
    const hash = table.hashes?.[row]
    if (table.views[row] === 0 && hash) hashes.set(id, hash)
  })
  return hashes.size === 0 ? undefined : imagesFromSource(source, hashes, store.plan.orient)
}

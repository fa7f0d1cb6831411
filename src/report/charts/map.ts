import { UMAP } from 'umap-js'
import { InterruptedError, throwIfAborted } from '../../base/errors.js'
import type { Progress } from '../../base/progress.js'
import { createRandom } from '../../base/random.js'
import { gemm } from '../../trainers/linalg/gemm.js'
import { fitPca } from '../../trainers/preprocess/pca.js'
import type { ReportDataset } from '../data/input.js'

const maxMapRows = 5000
const components = 50
const neighbours = 15

export interface MapOptions {
  readonly seed: number | string
  readonly threads?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly progress?: Progress | undefined
}

/** Places of images in the plane. */
export interface EmbeddingMap {
  readonly title: string
  /** `[n]`, rows of the data set. */
  readonly rows: Int32Array
  /** `[n, 2]`, in [0, 1]. */
  readonly places: Float32Array
  /** How it was made, in words. */
  readonly method: string
  /** Rows that were left out so that the map stays small. */
  readonly leftOut: number
}

/**
 * A map of a data set's embeddings: rows scaled to length 1, at most 50 principal components, then UMAP (15 neighbours)
 * with a seeded generator, so that equal input gives an equal map. Fewer than 20 rows are placed by two components
 * alone; fewer than 3 give no map. More than 5,000 rows are thinned evenly.
 */
export async function mapEmbedding(dataset: ReportDataset, options: MapOptions): Promise<EmbeddingMap | undefined> {
  const { embedding } = dataset
  if (embedding === undefined || embedding.rows.length < 3) return undefined
  const { cols } = embedding
  const total = embedding.rows.length
  const stride = Math.ceil(total / maxMapRows)
  const picked = Int32Array.from({ length: Math.ceil(total / stride) }, (_, i) => i * stride)
  const data = new Float32Array(picked.length * cols)
  picked.forEach((from, to) => {
    const row = embedding.data.subarray(from * cols, (from + 1) * cols)
    let square = 0
    for (const v of row) square += v * v
    const scale = square > 0 ? 1 / Math.sqrt(square) : 0
    for (let j = 0; j < cols; j++) data[to * cols + j] = row[j]! * scale
  })
  const x = { data, rows: picked.length, cols }
  const threads = options.threads ?? 1
  const wanted = Math.min(components, picked.length - 1, cols)
  const { mean, projection } = await fitPca(
    x,
    { components: wanted, whiten: false },
    { seed: 0, threads, signal: options.signal },
  )
  throwIfAborted(options.signal, 'The report')
  for (let i = 0, at = 0; i < x.rows; i++) for (let j = 0; j < cols; j++, at++) data[at]! -= mean[j]!
  const reduced = await gemm(x, projection, { transB: true, threads })
  const wide: number[][] = Array.from({ length: x.rows }, (_, i) =>
    Array.from(reduced.data.subarray(i * reduced.cols, (i + 1) * reduced.cols)),
  )
  const few = x.rows < 20
  const flat = few ? wide.map((row) => [row[0] ?? 0, row[1] ?? 0]) : await umap(wide, options)
  return {
    title: embedding.title,
    rows: picked.map((at) => embedding.rows[at]!),
    places: intoUnitSquare(flat),
    method: few
      ? 'two principal components of the length-normalised embeddings'
      : `length-normalised embeddings, ${reduced.cols} principal components, then UMAP with ${neighbours} neighbours`,
    leftOut: total - picked.length,
  }
}

async function umap(rows: number[][], { seed, signal, progress }: MapOptions): Promise<number[][]> {
  const random = createRandom(seed).fork('umap')
  const made = new UMAP({
    nComponents: 2,
    nNeighbors: Math.min(neighbours, rows.length - 1),
    minDist: 0.15,
    random: () => random.next(),
  })
  const epochs = made.initializeFit(rows)
  const task = progress?.task({ label: 'embedding map', total: epochs, unit: 'epochs' })
  for (let epoch = 0; epoch < epochs; epoch++) {
    made.step()
    if (epoch % 10 === 9) {
      task?.update(epoch + 1)
      await new Promise((resolve) => setImmediate(resolve))
      if (signal?.aborted) throw new InterruptedError('The report', 'Run the command again.')
    }
  }
  task?.end()
  return made.getEmbedding()
}

/** The same scale on both axes, the smaller centred; rounded to 1/4095 so that the file stays small. */
function intoUnitSquare(rows: readonly number[][]): Float32Array {
  const low = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  const high = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const row of rows) {
    for (let d = 0; d < 2; d++) {
      low[d] = Math.min(low[d]!, row[d]!)
      high[d] = Math.max(high[d]!, row[d]!)
    }
  }
  const span = Math.max(high[0]! - low[0]!, high[1]! - low[1]!) || 1
  const places = new Float32Array(rows.length * 2)
  rows.forEach((row, i) => {
    for (let d = 0; d < 2; d++) {
      const shift = (span - (high[d]! - low[d]!)) / 2
      places[i * 2 + d] = Math.round(((row[d]! - low[d]! + shift) / span) * 4095) / 4095
    }
  })
  return places
}

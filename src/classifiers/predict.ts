import type { EmbeddingTable } from '../embeddings/store/table.js'
import type { Classifier } from './classifier.js'

/** What a classifier says of one row. */
export interface Prediction {
  readonly id: string
  readonly path: string
  /** The row's own label, where it has one. */
  readonly label: string | null
  readonly predicted: string
  /** The best classes, best first. */
  readonly top: readonly { readonly label: string; readonly score: number }[]
  /** The classifier was fitted on this row: its prediction proves nothing. */
  readonly trainedOn: boolean
}

/**
 * Predicts every image of a table; augmented training views are passed over. Scores are probabilities or decision
 * values, as the classifier's `scoreKind` says.
 *
 * @param top how many classes a row lists
 * @throws Fc7Error CLASSIFIER_MISMATCH, EMBEDDING_NOT_FINITE
 */
export async function predictTable(
  classifier: Classifier,
  table: EmbeddingTable,
  options: {
    readonly top?: number | undefined
    readonly threads?: number | undefined
    readonly signal?: AbortSignal | undefined
  } = {},
): Promise<Prediction[]> {
  const { top = 1, ...rest } = options
  const scores = await classifier.predictScores(
    { data: table.x, rows: table.rows, cols: table.dim },
    { ...rest, ids: table.ids },
  )
  const { classes } = classifier
  const seen = new Set(classifier.info.trainedOn)
  const hashes = new Set(classifier.info.trainedImages)
  // By the image itself where both sides know its hash: paths of different folders may be the same.
  const trainedOn = (row: number): boolean => {
    const hash = table.hashes?.[row]
    return hash && hashes.size > 0 ? hashes.has(hash) : seen.has(table.ids[row]!)
  }
  const images = [...table.ids.keys()].filter((row) => table.views[row] === 0)
  return images.map((row) => {
    const id = table.ids[row]!
    const ranked = classes
      .map((label, c) => ({ label, score: scores[row * classes.length + c]! }))
      // Stable: of equal scores the first class wins, as in predictedClasses().
      .sort((a, b) => b.score - a.score)
    return {
      id,
      path: table.paths[row]!,
      label: table.labels[row]!,
      predicted: ranked[0]!.label,
      top: ranked.slice(0, Math.max(1, top)),
      trainedOn: trainedOn(row),
    }
  })
}

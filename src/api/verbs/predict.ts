import { availableParallelism } from 'node:os'
import { extname } from 'node:path'
import { Fc7Error } from '../../base/errors.js'
import { writeFileAtomic } from '../../base/files.js'
import type { Classifier } from '../../classifiers/classifier.js'
import { loadClassifier } from '../../classifiers/load.js'
import { type Prediction, predictTable } from '../../classifiers/predict.js'
import { predictionsCsv } from '../../classifiers/predictions-csv.js'
import { checkProvenance } from '../../classifiers/provenance.js'
import { provenanceOf } from '../../classifiers/store-provenance.js'
import { readTable } from '../../embeddings/store/store.js'
import { type CommonOptions, contextOf } from '../shared/context.js'
import { ownNetwork } from '../shared/own-network.js'
import type { SourceOptions } from '../shared/source.js'
import { storeFor } from '../shared/store-for.js'

export interface PredictOptions extends CommonOptions, SourceOptions {
  /** Classifier folder, or a classifier. */
  readonly classifier: string | Classifier
  /** Images or a store. */
  readonly source: string
  /** Classes to list for each image. Default 1. */
  readonly top?: number | undefined
  readonly threads?: number | undefined
  readonly batchSize?: number | undefined
  readonly sessions?: number | undefined
  readonly decodeThreads?: number | undefined
  /** File to write, .csv or .jsonl. Default: nothing is written. */
  readonly out?: string | undefined
}

export interface PredictResult {
  readonly predictions: readonly Prediction[]
  readonly scoreKind: Classifier['scoreKind']
  /** Labelled rows that the classifier was not trained on, and how many of them are right. */
  readonly fresh: number
  readonly right: number
  /** Rows that it was trained on: their predictions prove nothing. */
  readonly trainedOn: number
  /** Images that could not be embedded, and the store that lists them. */
  readonly failures: number
  readonly store: string
}

/** The format that the ending of `out` names. @throws Fc7Error USAGE_OUT */
function formatOf(out: string | undefined): '.csv' | '.jsonl' | undefined {
  if (out === undefined) return undefined
  const format = extname(out)
  if (format === '.csv' || format === '.jsonl') return format
  throw new Fc7Error('USAGE_OUT', `${out} ends neither in .csv nor in .jsonl.`, {
    hint: 'The ending of --out chooses the format.',
  })
}

/** Classifies images, or the rows of a store. */
export async function predict(options: PredictOptions): Promise<PredictResult> {
  const context = contextOf(options)
  const { out, top = 1 } = options
  const format = formatOf(out)
  const classifier =
    typeof options.classifier === 'string' ? await loadClassifier(options.classifier) : options.classifier
  const { provenance } = classifier.info
  const [recipeName] = provenance.recipe.split(' ')
  const choices = {
    ...options,
    model: options.model ?? (() => ownNetwork(provenance, context.cacheFolder)),
    layers: options.layers ?? [provenance.layer],
    recipe: options.recipe ?? (recipeName === 'none' ? undefined : recipeName),
  }
  const store = await storeFor(options.source, choices, context)
  const layers = store.plan.layers.map((layer) => layer.name)
  const layer = options.layers?.[0] ?? (layers.includes(provenance.layer) ? provenance.layer : layers[0]!)
  const table = await readTable(store, layer)
  checkProvenance(classifier.info, { ...provenanceOf(store, layer), dim: table.dim })
  const threads = options.threads ?? availableParallelism()
  const predictions = await predictTable(classifier, table, { top, threads, signal: context.signal })
  if (out !== undefined) {
    const jsonLines = () => predictions.map((row) => `${JSON.stringify(row)}\n`).join('')
    const shown = Math.min(top, classifier.classes.length)
    await writeFileAtomic(out, format === '.csv' ? predictionsCsv(predictions, shown) : jsonLines())
  }
  const fresh = predictions.filter((row) => row.label !== null && !row.trainedOn)
  return {
    predictions,
    scoreKind: classifier.scoreKind,
    fresh: fresh.length,
    right: fresh.filter((row) => row.label === row.predicted).length,
    trainedOn: predictions.filter((row) => row.trainedOn).length,
    failures: store.manifest.failures,
    store: store.path,
  }
}

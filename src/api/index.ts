/**
 * The library: one function a verb, each with one options object. What a function needs is loaded when it is called, so
 * importing fc7 costs little.
 */

import type { Card } from '../backbones/card.js'
import type { PulledBackbone } from '../backbones/pull.js'
import type { Classifier } from '../classifiers/classifier.js'
import type { DatasetOptions } from '../datasets/contract.js'
import type { Dataset, DatasetScan } from '../datasets/open.js'
import type { Manifest } from '../embeddings/store/layout.js'
import type { Store } from '../embeddings/store/store.js'
import type { EmbeddingTable } from '../embeddings/store/table.js'
import type { VerifyResult } from '../embeddings/store/verify.js'
import type { ComparisonPlan } from '../evaluation/plan/plan.js'
import type { LoadedEvaluation } from '../evaluation/results/load.js'
import type { CommonOptions } from './shared/context.js'
import type { AdviseOptions, AdviseResult, PlannedAdvice } from './verbs/advise.js'
import type { BundleOptions, BundleResult } from './verbs/bundle.js'
import type { PullOptions, TrainerEntry } from './verbs/catalogue.js'
import type { CompareOptions, CompareResult } from './verbs/compare.js'
import type { ExtractOptions, ExtractSummary, PlannedExtraction } from './verbs/extract.js'
import type { FinetuneOptions, FinetuneResult, FinetuneSource, PlannedFinetune } from './verbs/finetune.js'
import type { PredictOptions, PredictResult } from './verbs/predict.js'
import type { ReportOptions, ReportResult } from './verbs/report.js'
import type {
  ExportOptions,
  ExportResult,
  ImportOptions,
  MergeOptions,
  MergeResult,
  VerifyOptions,
} from './verbs/stores.js'
import type { PlannedTraining, TrainOptions, TrainResult } from './verbs/train.js'

/**
 * Embeds images into a store. The same call resumes a stopped one.
 *
 * @throws Fc7Error of the data set, the backbone, or the store in `out` (STORE_OTHER_PLAN)
 * @example
 * const { rows, failures } = await extract({ source: 'photos/', model: 'resnet50', out: 'photos.fc7' })
 */
export const extract = async (options: ExtractOptions): Promise<ExtractSummary> =>
  (await import('./verbs/extract.js')).extract(options)

/**
 * What {@link extract} would do; computes nothing.
 *
 * @example
 * const { plan, done } = await planExtract({ source: 'photos/', model: 'resnet50', out: 'photos.fc7' })
 */
export const planExtract = async (options: ExtractOptions): Promise<PlannedExtraction> =>
  (await import('./verbs/extract.js')).planExtract(options)

/**
 * Opens a store for reading.
 *
 * @throws Fc7Error STORE_MISSING, or what is broken
 * @example
 * const store = await openStore('photos.fc7')
 */
export const openStore = async (path: string): Promise<Store> => (await import('./verbs/stores.js')).openStore(path)

/**
 * Reads one layer of a store: float32 rows `[rows, dim]` with ids, labels, splits and groups.
 *
 * @param layer needed where the store holds several
 * @throws Fc7Error LAYER_NEEDED with the names there are
 * @example
 * const { rows, dim, x, labels } = await readTable(await openStore('photos.fc7'))
 */
export const readTable = async (store: Store, layer?: string): Promise<EmbeddingTable> =>
  (await import('./verbs/stores.js')).readTable(store, layer)

/**
 * Makes a store of embeddings that were computed elsewhere (.npy, .parquet, .csv).
 *
 * @throws Fc7Error IMPORT_BAD, USAGE_IMPORT
 * @example
 * await importEmbeddings({ file: 'x.npy', labels: 'labels.csv', out: 'x.fc7' })
 */
export const importEmbeddings = async (options: ImportOptions): Promise<Manifest> =>
  (await import('./verbs/stores.js')).importEmbeddings(options)

/**
 * Writes a layer of a store as npy, npz, parquet, safetensors, csv or for a projector.
 *
 * @example
 * await exportStore({ store: 'photos.fc7', to: 'npy', out: 'photos.npy' })
 */
export const exportStore = async (options: ExportOptions): Promise<ExportResult> =>
  (await import('./verbs/stores.js')).exportStore(options)

/**
 * Joins the parts of one extraction that several processes wrote.
 *
 * @throws Fc7Error MERGE_PLANS
 * @example
 * const { missing } = await mergeStores({ stores: ['part0', 'part1'], out: 'whole' })
 */
export const mergeStores = async (options: MergeOptions): Promise<MergeResult> =>
  (await import('./verbs/stores.js')).mergeStores(options)

/**
 * Reads a store as a whole and says what is wrong with it.
 *
 * @example
 * const { ok, findings } = await verifyStore({ store: 'photos.fc7' })
 */
export const verifyStore = async (options: VerifyOptions): Promise<VerifyResult> =>
  (await import('./verbs/stores.js')).verifyStore(options)

/**
 * Fits a classifier on a store's embeddings. `fc7 predict` and `fc7 bundle` take what it writes.
 *
 * @throws Fc7Error USAGE_PARAM, LAYER_NEEDED, MEMORY_LIMIT, TIME_LIMIT; INTERRUPTED
 * @example
 * await train({ store: 'photos.fc7', trainer: 'linear-svm', params: { C: 0.1 }, out: 'photos.svm' })
 */
export const train = async (options: TrainOptions): Promise<TrainResult> =>
  (await import('./verbs/train.js')).train(options)

/**
 * What {@link train} would fit, and the memory it is estimated to take.
 *
 * @example
 * const { memory } = await planTrain({ store: 'photos.fc7', trainer: 'random-forest' })
 */
export const planTrain = async (options: TrainOptions): Promise<PlannedTraining> =>
  (await import('./verbs/train.js')).planTrain(options)

/**
 * Classifies images, or the rows of a store, with a classifier of this library or of `fc7 train`.
 *
 * @throws Fc7Error RECIPE and its kin where the embeddings are not those that the classifier was trained on
 * @example
 * const { predictions } = await predict({ classifier: 'photos.svm', source: 'new-photos/', top: 3 })
 */
export const predict = async (options: PredictOptions): Promise<PredictResult> =>
  (await import('./verbs/predict.js')).predict(options)

/**
 * Loads a saved classifier.
 *
 * @example
 * const { classes } = await loadClassifier('photos.svm')
 */
export const loadClassifier = async (folder: string): Promise<Classifier> =>
  (await import('../classifiers/load.js')).loadClassifier(folder)

/**
 * Writes recipe, network and classifier as one ONNX file, from uint8 pixels to classes.
 *
 * @example
 * const { check } = await bundle({ classifier: 'photos.svm', out: 'photos.onnx' })
 */
export const bundle = async (options: BundleOptions): Promise<BundleResult> =>
  (await import('./verbs/bundle.js')).bundle(options)

/**
 * Compares trainers, layers and backbones on the same folds, and writes the evaluation.
 *
 * @throws Fc7Error USAGE_OUT, USAGE_EXPERIMENT, and those of data and trainers
 * @example
 * const { evaluation } = await compare({ sources: ['photos.fc7'], trainers: ['linear-svm', 'knn'], out: 'result' })
 */
export const compare = async (options: CompareOptions): Promise<CompareResult> =>
  (await import('./verbs/compare.js')).compare(options)

/**
 * Folds and fits of a comparison; fits nothing.
 *
 * @example
 * const { fits } = await planCompare({ sources: ['photos.fc7'], out: 'result' })
 */
export const planCompare = async (options: CompareOptions): Promise<ComparisonPlan> =>
  (await import('./verbs/compare.js')).planCompare(options)

/**
 * Reads an evaluation folder: results, folds, predictions.
 *
 * @example
 * const { evaluation } = await loadEvaluation('result')
 */
export const loadEvaluation = async (folder: string): Promise<LoadedEvaluation> =>
  (await import('../evaluation/results/load.js')).loadEvaluation(folder)

/**
 * Writes the page of an evaluation (with Markdown and JSON beside it), or the curves of a fine-tuning.
 *
 * @example
 * const { html } = await report({ evaluation: 'result' })
 */
export const report = async (options: ReportOptions): Promise<ReportResult> =>
  (await import('./verbs/report.js')).report(options)

/**
 * Measures what the images ask of the network, and says which transfer strategy to try.
 *
 * @example
 * const { advice } = await advise({ source: 'photos.fc7' })
 */
export const advise = async (options: AdviseOptions): Promise<AdviseResult> =>
  (await import('./verbs/advise.js')).advise(options)

/**
 * What {@link advise} would measure.
 *
 * @example
 * const { fits } = await planAdvise({ source: 'photos.fc7' })
 */
export const planAdvise = async (options: AdviseOptions): Promise<PlannedAdvice> =>
  (await import('./verbs/advise.js')).planAdvise(options)

/**
 * Trains the network itself, or goes on where a stopped run of the same options ended.
 *
 * @throws Fc7Error FINETUNE_DIVERGED, FINETUNE_MEMORY and others of the plan; INTERRUPTED
 * @example
 * await finetune({ source: 'photos/', model: 'resnet50', strategy: 'last', out: 'photos-resnet' })
 */
export const finetune = async (options: FinetuneOptions): Promise<FinetuneResult> =>
  (await import('./verbs/finetune.js')).finetune(options)

/**
 * What {@link finetune} would do; trains nothing.
 *
 * @example
 * const { plan } = await planFinetune({ source: 'photos/', model: 'resnet50' })
 */
export const planFinetune = async (options: FinetuneSource): Promise<PlannedFinetune> =>
  (await import('./verbs/finetune.js')).planFinetune(options)

/**
 * Cards of the backbones that fc7 knows by name.
 *
 * @example
 * for (const { id, title } of await listBackbones()) console.log(id, title)
 */
export const listBackbones = async (options?: CommonOptions): Promise<Card[]> =>
  (await import('./verbs/catalogue.js')).listBackbones(options)

/**
 * Fetches a backbone's weights into the cache, and checks their hash.
 *
 * @throws Fc7Error MODEL_UNKNOWN, OFFLINE, and those of the network
 * @example
 * const { path } = await pullBackbone({ model: 'resnet50' })
 */
export const pullBackbone = async (options: PullOptions): Promise<PulledBackbone> =>
  (await import('./verbs/catalogue.js')).pullBackbone(options)

/**
 * The trainers with their hyper-parameters.
 *
 * @example
 * const ids = (await listTrainers()).map(({ id }) => id)
 */
export const listTrainers = async (): Promise<TrainerEntry[]> => (await import('./verbs/catalogue.js')).listTrainers()

/**
 * Opens a data set in any form that fc7 reads; its items come in a fixed order.
 *
 * @throws Fc7Error of the form
 * @example
 * for await (const { path, label } of (await openDataset('photos/')).items()) console.log(path, label)
 */
export const openDataset = async (path: string, options?: DatasetOptions): Promise<Dataset> =>
  (await import('../datasets/open.js')).openDataset(path, options)

/**
 * Counts a data set's items, labels and splits.
 *
 * @example
 * const { items, labels } = await scanDataset(await openDataset('photos/'))
 */
export const scanDataset = async (
  dataset: Dataset,
  options?: { readonly limit?: number | undefined; readonly signal?: AbortSignal | undefined },
): Promise<DatasetScan> => (await import('../datasets/open.js')).scanDataset(dataset, options)

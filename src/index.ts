/** The public API: docs/api.md shows it in ten short programs. */

// Every type that a public signature names, and those that they name in turn.
export type { Advice } from './advisor/rules/advice-file.js'
export * from './api/images.js'
export * from './api/index.js'
export type { CommonOptions, Context } from './api/shared/context.js'
export type { CompareChoices, ExperimentInput } from './api/shared/experiment.js'
export type { SourceOptions } from './api/shared/source.js'
export type { AdviseOptions, AdviseResult, PlannedAdvice } from './api/verbs/advise.js'
export type { BundleOptions, BundleResult } from './api/verbs/bundle.js'
export type { PullOptions, TrainerEntry } from './api/verbs/catalogue.js'
export type { CompareOptions, CompareResult } from './api/verbs/compare.js'
export type { ExtractOptions, ExtractSummary, PlannedExtraction } from './api/verbs/extract.js'
export type {
  FinetuneChoices,
  FinetuneOptions,
  FinetuneResult,
  FinetuneSource,
  PlannedFinetune,
} from './api/verbs/finetune.js'
export type { PredictOptions, PredictResult } from './api/verbs/predict.js'
export type { ReportOptions, ReportResult } from './api/verbs/report.js'
export type {
  ExportOptions,
  ExportResult,
  ImportOptions,
  MergeOptions,
  MergeResult,
  VerifyOptions,
} from './api/verbs/stores.js'
export type { PlannedTraining, TrainOptions, TrainResult } from './api/verbs/train.js'
export type { Card, CardLayer, ChosenRecipe, LayerKind, WeightSource } from './backbones/card.js'
export type { Pooling } from './backbones/extraction.js'
export type { PullBackboneOptions, PulledBackbone } from './backbones/pull.js'
export { cacheFolder } from './base/cache.js'
export type { Fc7ErrorOptions } from './base/errors.js'
export { Fc7Error, InterruptedError } from './base/errors.js'
export type { FetchOptions, Patience } from './base/fetch/contract.js'
export type { Progress, ProgressTask } from './base/progress.js'
export type { NamedTensor, TensorValues } from './base/safetensors.js'
export type { BundleCheck } from './bundle/bundle.js'
export type { Classifier, FitOptions, ScoreOptions } from './classifiers/classifier.js'
export type { EstimatedMemory, MemoryRequest } from './classifiers/memory.js'
export type { Prediction } from './classifiers/predict.js'
export type { ClassifierInfo, ExtractionFacts, Provenance, Tuning } from './classifiers/provenance.js'
export type {
  Box,
  DatasetItem,
  DatasetOptions,
  DatasetSource,
  ItemLoad,
  Layout,
  OpenedSource,
} from './datasets/contract.js'
export type { Dataset, DatasetScan } from './datasets/open.js'
export type { MeasuredBatch } from './embeddings/extract/batch-tuner.js'
export type { ExtractionSummary } from './embeddings/extract/extract.js'
export type { ExtractionRun, ImagesSummary, RunChoice } from './embeddings/extract/extract-images.js'
export type { MeasuredSplit } from './embeddings/extract/open-inference.js'
export type { Commit, Failure, Manifest } from './embeddings/store/layout.js'
export type { ExtractionPlan, PlanInput } from './embeddings/store/plan.js'
export type { Store } from './embeddings/store/store.js'
export type { EmbeddingTable } from './embeddings/store/table.js'
export type { Finding, VerifyResult } from './embeddings/store/verify.js'
export type { Confusion } from './evaluation/metrics/confusion.js'
export type {
  ChosenRule,
  Interval,
  OperatingPoint,
  OperatingRule,
  Positive,
  Proportion,
} from './evaluation/metrics/operating-point.js'
export type { Confidence, Ranking } from './evaluation/metrics/ranking.js'
export type { MetricId, MetricSpec, Outcome, PreparedOutcome } from './evaluation/metrics/registry.js'
export type { Experiment, ExperimentSource } from './evaluation/plan/experiment.js'
export type { Items } from './evaluation/plan/items.js'
export type {
  ComparisonOptions,
  ComparisonPlan,
  ComparisonTable,
  PlannedFit,
  PlannedTrainer,
  TrainerChoice,
} from './evaluation/plan/plan.js'
export type { FoldOptions, PlannedFold, Protocol } from './evaluation/plan/protocol.js'
export type { TuneOptions, TunePlan } from './evaluation/plan/tuning-plan.js'
export type { EvaluatedItems, LoadedEvaluation, Predictions } from './evaluation/results/load.js'
export type {
  Difference,
  DuplicatePair,
  Evaluation,
  FriedmanRecord,
  Guards,
  Measure,
  Result,
} from './evaluation/results/schema.js'
export type { OptimizerKind } from './finetune/plan/defaults.js'
export type { FinetuneOptions as FinetuneSettings } from './finetune/plan/options.js'
export type { FinetunePlan, PhasePlan } from './finetune/plan/plan.js'
export type { Roles } from './finetune/plan/splits.js'
export type { FinetuneSummary } from './finetune/result/finish.js'
export type { FinetuneRun } from './finetune/result/folder.js'
export type { EpochRecord } from './finetune/train/checkpoint.js'
export type { TestViews, ViewCrop } from './images/augment/augment-plan.js'
export type { ImageBox } from './images/decode/decode.js'
export type { ResizeMode } from './images/prepare/prepare.js'
export type { PixelSize, RecipeCrop, RecipeName, RecipeResize, ResizeFilter } from './images/recipe/recipe.js'
export type { AttributeValue, ElementType, GraphBuilder, NodeOptions } from './onnx/build.js'
export type { OnnxWriter } from './onnx/classifier-writer.js'
export type { ModelProto } from './onnx/generated/onnx_pb.js'
export type { ThreadSplit } from './runtime/machine.js'
export type { Calibration, CalibrationKind, FoldScorer } from './trainers/calibration/calibration.js'
export type {
  FitContext,
  FitSize,
  Matrix,
  Model,
  ModelState,
  ParamSpec,
  Params,
  ParamValue,
  Trainer,
  TrainingSet,
  WarmStart,
} from './trainers/contract.js'
export type { RawParams } from './trainers/params.js'
export type { FittedStep, PreparedMemory, Preprocess, PreprocessStep } from './trainers/preprocess/preprocess.js'

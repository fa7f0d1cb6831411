import type { NamedTensor } from '../base/safetensors.js'
import type { OnnxWriter } from '../onnx/classifier-writer.js'

/** Dense row-major matrix: `data[i * cols + j]`. */
export interface Matrix {
  readonly data: Float32Array
  readonly rows: number
  readonly cols: number
}

/** What a trainer learns from. */
export interface TrainingSet {
  /** `[rows, cols]`, finite. */
  readonly x: Matrix
  /** `[rows]`, index into `classes`. */
  readonly y: Int32Array
  readonly classes: readonly string[]
  /** `[rows]`, positive; default 1 everywhere. */
  readonly weights?: Float64Array | undefined
  /** `[rows]`: rows of one group (views of one image, one patient) stay together when a trainer splits for itself. */
  readonly groups?: readonly (string | null)[] | undefined
  /** `[rows]`, for messages and the classifier's record. */
  readonly ids?: readonly string[] | undefined
  /** `[rows]`, sha256 of each row's image, for the classifier's record. */
  readonly images?: readonly (string | null)[] | undefined
}

export type ParamValue = number | string | boolean

/** A hyper-parameter as data: `--set`, `--help`, validation and `--tune` all read this. */
export type ParamSpec = {
  readonly name: string
  /** One line for `--help`. */
  readonly help: string
} & (
  | {
      readonly type: 'number' | 'integer'
      readonly default: number
      readonly min?: number | undefined
      readonly max?: number | undefined
      readonly grid?: readonly number[] | undefined
      readonly log?: boolean | undefined
    }
  /** A number, or a word that stands for one worked out from the rows. */
  | {
      readonly type: 'number-or-word'
      readonly default: number | string
      readonly words: readonly string[]
      readonly min?: number | undefined
      readonly max?: number | undefined
      readonly grid?: readonly (number | string)[] | undefined
      readonly log?: boolean | undefined
    }
  | {
      readonly type: 'choice'
      readonly default: string
      readonly choices: readonly string[]
      readonly grid?: readonly string[] | undefined
    }
  | { readonly type: 'boolean'; readonly default: boolean; readonly grid?: readonly boolean[] | undefined }
  /** Comma-separated whole numbers such as `512,128`. */
  | { readonly type: 'sizes'; readonly default: string; readonly grid?: readonly string[] | undefined }
)

export type Params = ReadonlyMap<string, ParamValue>

/**
 * Kept by a caller that fits the same rows, prepared the same way, again and again with other parameters (a
 * regularisation path): a trainer may leave its solution here and begin from it next time. The result is the same
 * within the trainer's tolerance.
 */
export interface WarmStart {
  solution?: Float64Array | undefined
}

export interface FitContext {
  /** Complete and validated: every declared parameter is present. */
  readonly params: Params
  readonly seed: number
  /** Threads this fit may use in all. */
  readonly threads: number
  readonly warm?: WarmStart | undefined
  readonly signal?: AbortSignal | undefined
  /** Called with a number in [0, 1]. */
  readonly onProgress?: ((fraction: number) => void) | undefined
}

/** What a fitted model is on disk: plain JSON facts plus tensors (weights.safetensors). */
export interface ModelState {
  readonly config: Readonly<Record<string, unknown>>
  readonly tensors: ReadonlyMap<string, NamedTensor>
}

/** A fitted model, without preprocessing (the classifier around it applies that). */
export interface Model {
  /** `probability`: rows sum to 1. `decision`: larger means more likely, no scale. */
  readonly scoreKind: 'probability' | 'decision'
  /** `[rows, classes]`, row-major; the predicted class is the first largest of a row. */
  scores(
    x: Matrix,
    options?: { readonly threads?: number | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<Float32Array>
  save(): ModelState
  /**
   * Adds nodes that compute {@link Model.scores} of `x` (a float32 `[N, cols]` tensor) and returns the name of a
   * float32 `[N, classes]` tensor. Equal to `scores` to 1e-5, and the same class. Only reference adapters have none.
   * Blocks to build it from are in onnx/.
   */
  toOnnx?(graph: OnnxWriter, x: string): string
  /** Texts for a person, by file name, which `save` puts into the classifier's folder; nothing reads them back. */
  files?(classes: readonly string[]): ReadonlyMap<string, string>
  /** Facts to print (iterations, support vectors, out-of-bag score …). */
  readonly facts: Readonly<Record<string, number | string>>
}

/** What a fit's memory depends on. */
export interface FitSize {
  readonly rows: number
  readonly cols: number
  /** Rows of every class. */
  readonly counts: readonly number[]
  /** Numbers of a row that are not zero, on average. */
  readonly entries: number
  readonly threads: number
}

/**
 * One kind of classifier. Each is one file, listed in the registry; the suite in test/trainers/contract.ts runs over
 * all.
 */
export interface Trainer {
  readonly id: string
  readonly title: string
  /** One line for `--help` and the report. */
  readonly summary: string
  readonly params: readonly ParamSpec[]
  /** Preprocessing that suits it when the user names none. */
  readonly defaultPreprocess: 'none' | 'l2' | 'standardise'
  /** A reference adapter: works, but is never in a default list. */
  readonly reference?: boolean | undefined
  /** Refuses sizes it would not finish, with the estimate. */
  checkSize?(rows: number, cols: number, classes: number): void
  /**
   * Most bytes that a fit holds at once, the model included, beside the rows that it is given; memory.ts adds those up.
   */
  estimatedBytes(size: FitSize, params: Params): number
  fit(set: TrainingSet, context: FitContext): Promise<Model>
  /** The inverse of {@link Model.save}; validates what it reads. */
  load(state: ModelState): Model
}

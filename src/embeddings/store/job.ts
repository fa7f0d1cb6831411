import type { Progress } from '../../base/progress.js'
import type { AugmentationPlan } from '../../images/augment/augment-plan.js'
import type { RunResult } from '../../runtime/inference-requests.js'
import type { ExtractionPlan } from './plan.js'

/** One image of the data set, in plan order. `source` is whatever the decoder reads it by. */
export interface ExtractionItem<Source = unknown> {
  readonly id: string
  readonly path: string
  readonly label: string | null
  readonly split: string | null
  readonly group: string | null
  readonly source: Source
}

export type Decoded =
  | {
      readonly ok: true
      readonly sha256: string
      readonly webp?: Uint8Array | undefined
      readonly dHash?: string | undefined
    }
  | { readonly ok: false; readonly code: string; readonly message: string }

/** How an image is shown, where not simply by its recipe. */
export interface Pose {
  readonly augmentation?: AugmentationPlan | undefined
  /** Whether a thumbnail is wanted as well. */
  readonly thumbnail: boolean
}

/**
 * Turns an image into the recipe's pixels, written at `offset` of a shared buffer. It never rejects for a bad image.
 */
export interface Decoder<Source> {
  decode(source: Source, buffer: SharedArrayBuffer, offset: number, pose?: Pose): Promise<Decoded>
}

/** Runs the extraction graph on `rows` images that stand at the start of the buffer. */
export interface Inference {
  /** Batches that it computes at once. Default 1. */
  readonly sessions?: number | undefined
  run(pixels: SharedArrayBuffer, dims: readonly [number, number, number, number]): Promise<RunResult>
}

export interface ExtractionJob<Source> {
  readonly plan: ExtractionPlan
  readonly out: string
  /** The data set's items in plan order; read once, streaming. */
  readonly items: () => AsyncIterable<ExtractionItem<Source>>
  /** Pixels of the recipe. */
  readonly width: number
  readonly height: number
  readonly decoder: Decoder<Source>
  readonly inference: Inference
  /** Images a run; with a `tuner`, the maximum. */
  readonly batch: number
  /** Says how many images the next run takes; is given how long each run took. */
  readonly tuner?: { readonly size: number; ran(rows: number, milliseconds: number): void } | undefined
  /**
   * Batches being decoded or computed at once. Default two a session (one computed, one ready) and two being decoded.
   */
  readonly lookAhead?: number | undefined
  /** Called after each batch with the milliseconds that the network has waited for decoding so far. */
  readonly onBatch?: ((waitedForDecodeMs: number) => void) | undefined
  readonly parts?: number | undefined
  readonly part?: number | undefined
  readonly retryFailed?: boolean | undefined
  /** Allows replacing another store in `out`. */
  readonly force?: boolean | undefined
  readonly progress?: Progress | undefined
  readonly signal?: AbortSignal | undefined
}

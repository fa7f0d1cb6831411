import type { StepResults, TrainingGraphFacts, TrainingSteps } from '../../training/runner.js'

/** Rows for some steps: `index` of the steps counts within them. */
export interface RowsMessage {
  /** float32 or uint8 `[rows, …]`; shared memory is copied in the thread. */
  readonly data: ArrayBuffer | SharedArrayBuffer
  readonly labels: readonly number[]
  readonly weights: Float32Array
}

export interface OpenRequest {
  readonly graph: TrainingGraphFacts & { readonly file: string }
  /** The evaluation graph: `data` `[N, …]` and every parameter in, logits out. */
  readonly evaluationFile: string
  readonly input: string
  readonly threads: number
}

/** What the training thread can be asked. */
export type TrainingRequests = {
  open: { ask: OpenRequest; answer: null }
  run: { ask: { readonly rows: RowsMessage; readonly steps: TrainingSteps }; answer: StepResults }
  /** Logits `[rows, classes]` with the weights of now. */
  evaluate: { ask: { readonly data: ArrayBuffer | SharedArrayBuffer; readonly rows: number }; answer: Float32Array }
  /** What goes around the loop; without `state` only what the network computes with. */
  snapshot: { ask: { readonly state: boolean }; answer: ReadonlyMap<string, Float32Array<ArrayBuffer>> }
  restore: { ask: { readonly values: ReadonlyMap<string, Float32Array>; readonly steps: number }; answer: null }
}

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
export interface Requests {
  open: { ask: OpenRequest; answer: null }
  run: { ask: { rows: RowsMessage; steps: TrainingSteps }; answer: StepResults }
  /** Logits `[rows, classes]` with the weights of now. */
  evaluate: { ask: { data: ArrayBuffer | SharedArrayBuffer; rows: number }; answer: Float32Array }
  /** What goes around the loop; without `state` only what the network computes with. */
  snapshot: { ask: { readonly state: boolean }; answer: ReadonlyMap<string, Float32Array> }
  restore: { ask: { values: ReadonlyMap<string, Float32Array>; steps: number }; answer: null }
  close: { ask: null; answer: null }
}
export type Kind = keyof Requests
export interface ToThread {
  readonly id: number
  readonly kind: Kind
  readonly ask: Requests[Kind]['ask']
}
export type FromThread =
  | { readonly id: number; readonly answer: Requests[Kind]['answer'] }
  | { readonly id: number; readonly error: { readonly code: string; readonly message: string; readonly hint: string } }

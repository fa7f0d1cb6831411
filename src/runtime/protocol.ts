/** Messages between {@link InferenceWorker} and its thread. */
export interface OpenMessage {
  readonly kind: 'open'
  readonly model: string
  readonly providers: readonly string[]
  readonly threads: number
}

export interface RunMessage {
  readonly kind: 'run'
  readonly id: number
  /** Holds uint8 pixels `[rows, height, width, 3]` from its start. */
  readonly pixels: SharedArrayBuffer
  readonly dims: readonly [number, number, number, number]
}

export type ToWorker = OpenMessage | RunMessage | { readonly kind: 'close' }

export interface RunResult {
  /** One `[rows, dim]` matrix per graph output. */
  readonly outputs: readonly {
    readonly name: string
    readonly dims: readonly number[]
    readonly data: Float32Array<ArrayBuffer>
  }[]
  /** Wall time of the run. */
  readonly milliseconds: number
  /** Time that its thread had a core, where the system tells. */
  readonly cpuMilliseconds?: number | undefined
}

export type FromWorker =
  | { readonly kind: 'opened' }
  | { readonly kind: 'closed' }
  | { readonly kind: 'result'; readonly id: number; readonly result: RunResult }
  | {
      readonly kind: 'failed'
      readonly id?: number | undefined
      readonly code: string
      readonly message: string
      readonly hint: string
    }

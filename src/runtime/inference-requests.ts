export interface OpenRequest {
  readonly model: string
  readonly providers: readonly string[]
  readonly threads: number
}

export interface RunRequest {
  /** Holds uint8 pixels `[rows, height, width, 3]` from its start. */
  readonly pixels: SharedArrayBuffer
  readonly dims: readonly [number, number, number, number]
}

export interface RunResult {
  /** One `[rows, dim]` matrix per graph output. */
  readonly outputs: readonly {
    readonly name: string
    readonly dims: readonly number[]
    readonly data: Float32Array<ArrayBuffer>
  }[]
  /** Wall time of the run. */
  readonly milliseconds: number
  /** Time that its thread had a core, where the system knows. */
  readonly cpuMilliseconds?: number | undefined
}

/** What the inference thread can be asked. */
export type InferenceRequests = {
  open: { ask: OpenRequest; answer: null }
  run: { ask: RunRequest; answer: RunResult }
}

/** What a trial of a provider found. */
export type Trial =
  | { readonly works: true; readonly note?: string | undefined }
  | { readonly works: false; readonly reason: string; readonly fix: string }

/** One way of running graphs. Each provider is one file, listed in the registry. */
export interface ExecutionProvider {
  readonly id: string
  readonly title: string
  /** Names as onnxruntime-node takes them, in order. */
  readonly sessionProviders: readonly string[]
  /** Order in which `auto` tries them: the largest first. */
  readonly speedRank: number
  /** The largest batch to try. */
  readonly maxBatch: number
  /** What to do when onnxruntime refuses it; `reason` is onnxruntime's first line. */
  fix(reason: string): string
}

/** A run of rows of one layer, with what is known of each. */
export interface ExportChunk {
  /** `[rows, dim]`. */
  readonly values: Float32Array
  readonly rows: number
  readonly ids: readonly string[]
  readonly paths: readonly string[]
  readonly labels: readonly (string | null)[]
  readonly splits: readonly (string | null)[]
  readonly groups: readonly (string | null)[]
  readonly views: readonly number[]
}

export interface ExportSource {
  readonly layer: string
  readonly rows: number
  readonly dim: number
  readonly classes: readonly string[]
  /** Facts that formats with metadata carry along. */
  readonly facts: Readonly<Record<string, string>>
  /** The rows in order, a shard at a time; may be called again. */
  chunks(): AsyncIterable<ExportChunk>
}

/**
 * One format. Each is one file, listed in the registry; the suite in test/embeddings/exporters/exporters.test.ts runs
 * over all.
 */
export interface Exporter {
  readonly id: string
  readonly summary: string
  /** Ending that `--out` should have; empty for a folder. */
  readonly extension: string
  /** Writes whole files only and returns their paths, the main one first. Streams: memory is one chunk. */
  write(source: ExportSource, out: string): Promise<string[]>
}

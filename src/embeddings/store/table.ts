/**
 * What trainers and evaluation read of a store: one layer's rows with their labels, in plan order. Read by
 * `readTable()` in store.ts.
 */
export interface EmbeddingTable {
  readonly layer: string
  readonly rows: number
  readonly dim: number
  /** `[rows, dim]`, row-major. */
  readonly x: Float32Array
  readonly ids: readonly string[]
  /** Relative path of the image. */
  readonly paths: readonly string[]
  readonly labels: readonly (string | null)[]
  readonly splits: readonly ('train' | 'val' | 'test' | null)[]
  readonly groups: readonly (string | null)[]
  /** 0 for the image itself, 1… for its augmented views. */
  readonly views: Uint16Array
  /** sha256 of each row's image, where the store knows it. */
  readonly hashes?: readonly (string | null)[] | undefined
  /** Class names by first appearance. */
  readonly classes: readonly string[]
}

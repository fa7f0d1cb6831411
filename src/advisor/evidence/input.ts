import type { Pace } from '../../embeddings/store/runs.js'
import type { EmbeddingTable } from '../../embeddings/store/table.js'
import type { CommandWords } from '../rules/command.js'
import type { SourceStatistics } from './distance.js'

/** One depth of the network, as rows over the same images. */
export interface DepthTable {
  readonly table: EmbeddingTable
  /** 1 is the default layer. */
  readonly depth: number
  /** The part of the network's work above it; undefined where the network is not at hand. */
  readonly shareAbove?: number | undefined
}

export interface AdviceInput {
  readonly name: string
  readonly backbone: { readonly id: string; readonly recipe: string }
  /** From the first layer to the default one, which is the last. */
  readonly depths: readonly DepthTable[]
  /** The source classifier's own scores on the same images. */
  readonly scores?: EmbeddingTable | undefined
  readonly dHashes?: ReadonlyMap<string, string> | undefined
  readonly source?: { readonly about: string; readonly statistics: SourceStatistics } | undefined
  /**
   * Where `last` would freeze by default: the end of the last stage but one; undefined where the network is not at
   * hand.
   */
  readonly boundary?: { readonly name: string; readonly shareAbove: number } | undefined
  /** Of the network, see backwardOverForward() in cost.ts. */
  readonly backward?: number | undefined
  /** Of images through the network on this machine, as measured; undefined where it is unknown. */
  readonly pace?: Pace | undefined
  readonly words: CommandWords
}

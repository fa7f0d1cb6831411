/** What can be done with a data set and a pretrained network, cheapest first. */
export const strategies = ['embeddings', 'head', 'last', 'all', 'scratch'] as const
export type Strategy = (typeof strategies)[number]

/**
 * What the measurements say; null where something could not be measured. Shares and accuracies are in [0, 1]. "The best
 * layer" is the default one unless an earlier one is better beyond chance (sweep.ts): the one that embeddings would be
 * taken from.
 */
export interface Facts {
  readonly rows: number
  readonly perClassMedian: number
  /** Accuracy of the linear probe on held-out images, at the best layer. */
  readonly probe: number
  /** Of that accuracy. */
  readonly standardError: number
  /** What the probe gets wrong (1 − `probe`) in standard errors: below 1 nothing is known to be left. */
  readonly roomInErrors: number
  /** Accuracy of the same probe on its own training rows. */
  readonly probeTrain: number
  /** `probeTrain` − `probe`. */
  readonly gap: number
  /** What the probe gets wrong, in parts of what guessing the largest class gets wrong. */
  readonly errorLeft: number
  /**
   * Best accuracy over the earlier layers minus the default layer's; 0 where none is better, null where there is one
   * layer only.
   */
  readonly earlierLead: number | null
  /** Layers of the sweep; 1 where the store holds one only. */
  readonly layers: number
  /** 1 where that lead is beyond chance, else 0. */
  readonly earlierHolds: number
  /**
   * Share of the errors of the best layer in the network's lower half that its upper half removes; null without such a
   * layer.
   */
  readonly upperRemoves: number | null
  /** 1 where the upper half does better than the lower one beyond chance: the images are like the source's. */
  readonly like: number
  /**
   * 1 where an earlier layer leads, or the upper half adds little, beyond chance: the images are unlike the source's.
   */
  readonly unlike: number
  /** Entropy of the source classifier's predictions, 0 sure, 1 knows nothing. */
  readonly entropy: number | null
  /** Fréchet distance in parts of the source's own variance. */
  readonly frechet: number | null
  /** Estimated hours of `all`. */
  readonly allHours: number | null
}

export type FactName = keyof Facts

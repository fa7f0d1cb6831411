import type { Strategy } from './options.js'

/** How one stretch of training goes unless told otherwise. */
export interface PhaseDefaults {
  readonly epochs: number
  /** Of the pretrained layers; for SGD, of which Adam and AdamW take {@link adaptiveShare}. */
  readonly rate: number
  /** The new layer's rate over it; undefined where the option's own holds. */
  readonly headFactor?: number
  readonly batchNorm: 'frozen' | 'train'
}

/** Adam's steps have the size of the rate itself, whatever the gradient's: they want a smaller one. */
export const adaptiveShare = 0.1

/** The phases of each strategy in order. */
export const phaseDefaults: Readonly<Record<Strategy, readonly PhaseDefaults[]>> = {
  head: [{ epochs: 30, rate: 0.01, headFactor: 1, batchNorm: 'frozen' }],
  last: [{ epochs: 15, rate: 0.001, batchNorm: 'frozen' }],
  all: [{ epochs: 10, rate: 0.001, batchNorm: 'frozen' }],
  // Rate, where the backbone's card says how it was trained: the card's.
  scratch: [{ epochs: 30, rate: 0.01, headFactor: 1, batchNorm: 'train' }],
  'lp-ft': [
    { epochs: 15, rate: 0.01, headFactor: 1, batchNorm: 'frozen' },
    { epochs: 8, rate: 0.0005, headFactor: 1, batchNorm: 'frozen' },
  ],
}

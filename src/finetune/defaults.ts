import type { Strategy } from './options.js'

export type OptimiserKind = 'sgd' | 'adam' | 'adamw'

/** How one stretch of training goes unless told otherwise. */
export interface PhaseDefaults {
  readonly epochs: number
  /** Of the pretrained layers, under SGD; Adam and AdamW take {@link adaptiveShare} of it. */
  readonly rate: number
  /** The new layer's rate over it; undefined where the option's own holds. */
  readonly headFactor?: number
  readonly batchNorm: 'frozen' | 'train'
}

/**
 * AdamW over pretrained weights, for its steps do not depend on the gradient's size: networks of the Caffe time have gradients of norm 20
 * where batch-normalised ones have 1, and SGD, held to norm 1, hardly moves them. GoogLeNet's last stage on the CIFAR-10 subset, five
 * epochs: selection loss 0.616 and training accuracy 0.86, where SGD had 0.704 and 0.75.
 */
export const optimiserOf = (strategy: Strategy): OptimiserKind => (strategy === 'scratch' ? 'sgd' : 'adamw')

/** Adam's steps have the size of the rate itself: they want a smaller one. */
export const adaptiveShare = 0.1

/** The phases of each strategy in order. */
export const phaseDefaults: Readonly<Record<Strategy, readonly PhaseDefaults[]>> = {
  head: [{ epochs: 30, rate: 0.01, headFactor: 1, batchNorm: 'frozen' }],
  last: [{ epochs: 15, rate: 0.001, batchNorm: 'frozen' }],
  all: [{ epochs: 10, rate: 0.001, batchNorm: 'frozen' }],
  // Where the backbone's card says how it was trained, its optimiser, rate and decay.
  scratch: [{ epochs: 30, rate: 0.01, headFactor: 1, batchNorm: 'train' }],
  'lp-ft': [
    { epochs: 15, rate: 0.01, headFactor: 1, batchNorm: 'frozen' },
    { epochs: 8, rate: 0.0005, headFactor: 1, batchNorm: 'frozen' },
  ],
}

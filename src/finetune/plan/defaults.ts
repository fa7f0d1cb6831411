import type { Strategy } from './options.js'

export type OptimizerKind = 'sgd' | 'adam' | 'adamw'

/** How one stretch of training goes unless asked otherwise. */
export interface PhaseDefaults {
  readonly epochs: number
  /** Of the pretrained layers. Steps of Adam and AdamW have the size of the rate itself: they want a smaller one. */
  readonly lr: { readonly sgd: number; readonly adam: number }
  /** The new layer's rate over it; undefined where the option's own holds. */
  readonly headLrFactor?: number | undefined
  readonly batchNorm: 'frozen' | 'train'
}

/**
 * AdamW over pretrained weights, for its steps do not depend on the gradient's size: networks of the Caffe time have
 * gradients of norm 20 where batch-normalised ones have 1, and SGD, held to norm 1, hardly moves them. GoogLeNet's last
 * stage on the CIFAR-10 subset, five epochs: selection loss 0.616 and training accuracy 0.86, where SGD had 0.704 and
 * 0.75.
 */
export const optimizerOf = (strategy: Strategy): OptimizerKind => (strategy === 'scratch' ? 'sgd' : 'adamw')

/**
 * The phases of each strategy in order. `last` of AdamW: on 208 images of hymenoptera 1e-4 moved ResNet-50's last stage
 * further than they could carry, 93.5 % right with both seeds tried; 3e-5 gave 94.8, 95.4 and 93.5 %, and GoogLeNet's
 * 94.1, 94.1 and 94.8 % instead of 95.4, 94.1 and 94.8 %.
 */
export const phaseDefaults: Readonly<Record<Strategy, readonly PhaseDefaults[]>> = {
  head: [{ epochs: 30, lr: { sgd: 0.01, adam: 0.001 }, headLrFactor: 1, batchNorm: 'frozen' }],
  last: [{ epochs: 15, lr: { sgd: 0.001, adam: 0.00003 }, batchNorm: 'frozen' }],
  all: [{ epochs: 10, lr: { sgd: 0.001, adam: 0.0001 }, batchNorm: 'frozen' }],
  // Where the backbone's card says how it was trained, its optimizer, rate, momentum, decay and epochs; not its batch,
  // which is half of a small data set, nor its schedule, which counts the steps of a million images.
  scratch: [{ epochs: 30, lr: { sgd: 0.01, adam: 0.001 }, headLrFactor: 1, batchNorm: 'train' }],
  'lp-ft': [
    { epochs: 15, lr: { sgd: 0.01, adam: 0.001 }, headLrFactor: 1, batchNorm: 'frozen' },
    { epochs: 8, lr: { sgd: 0.0005, adam: 0.00005 }, headLrFactor: 1, batchNorm: 'frozen' },
  ],
}

import { type HeadedNetwork, headBias, headWeight } from './network.js'
import type { FinetuneOptions } from './options.js'
import type { PhasePlan } from './phase-plan.js'

/**
 * Learning rate at a step of a phase, from 0: a linear rise, then down along a cosine, by tenths at 60 and 85 %, or not
 * at all.
 */
export function lrAt(
  phase: Pick<PhasePlan, 'lr' | 'epochs' | 'stepsPerEpoch'>,
  options: FinetuneOptions,
  step: number,
): number {
  const total = phase.epochs * phase.stepsPerEpoch
  const rising = Math.min(total, Math.ceil(options.warmup * total))
  if (step < rising) return (phase.lr * (step + 1)) / rising
  const done = (step - rising) / Math.max(1, total - rising)
  if (options.schedule === 'cosine') return phase.lr * 0.5 * (1 + Math.cos(Math.PI * done))
  if (options.schedule === 'step') return phase.lr * (done < 0.6 ? 1 : done < 0.85 ? 0.1 : 0.01)
  return phase.lr
}

/** Factor of a parameter's learning rate: the new layer's own, and smaller towards the pixels. */
export function lrFactors(
  network: HeadedNetwork,
  phase: PhasePlan,
  depthLrFactor: number,
): ReadonlyMap<string, number> {
  const wanted = new Set(phase.trainable)
  const trained = network.parameters.filter(({ name }) => wanted.has(name))
  const places = [...new Set(trained.map(({ place }) => place))].sort((a, b) => a - b)
  return new Map(
    trained.map(({ name, place }) => {
      if (name === headWeight || name === headBias) return [name, phase.headLrFactor]
      const height = places.indexOf(place) / Math.max(1, places.length - 1)
      return [name, depthLrFactor ** (1 - height)]
    }),
  )
}

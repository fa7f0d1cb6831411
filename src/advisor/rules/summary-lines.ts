import type { Advice } from './advice-file.js'
import { beginning } from './rules.js'

/** What the verdict asks for, in sentences: layer, boundary, augmentation, how it begins. */
export function adviceLines({ verdict, layers, bestLayer }: Advice): string[] {
  const best = layers.find(({ name }) => name === bestLayer)
  const earlier = best !== undefined && best !== layers.at(-1)
  const measured = best === undefined ? '' : ` (the probe gets ${(100 * best.accuracy).toFixed(1)} % right there)`
  const { strategy, freezeUntil, augment } = verdict
  return [
    ...(strategy === 'embeddings' ? [`Take the embeddings from the layer ${verdict.layer}${measured}.`] : []),
    ...(freezeUntil === null ? [] : [`Freeze up to ${freezeUntil}; train what stands above it.`]),
    ...(strategy === 'all' ? [beginning.all.says] : []),
    augment ? 'Augment the training images: there are few enough to learn by heart.' : 'No augmentation is needed.',
    ...(earlier && strategy !== 'embeddings'
      ? [`The cheapest part of the same evidence: embeddings from the layer ${bestLayer}${measured}.`]
      : []),
  ]
}

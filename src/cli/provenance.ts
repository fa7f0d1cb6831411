import type { Store } from '../embeddings/store.js'
import type { Provenance } from '../trainers/classifier.js'

/** Which embeddings a store's layer holds, as classifiers record and check it. */
export function provenanceOf(store: Store, layer: string): Provenance {
  const { plan } = store
  return {
    backbone: plan.backbone.id,
    backboneSha256: plan.backbone.sha256,
    layer,
    // Everything about the pixels that changes values: the steps, how they are resized, pooling, orientation.
    recipe: plan.recipe
      ? `${plan.recipe.name} ${JSON.stringify(plan.recipe.steps)} ${plan.resize} ${plan.pool}${plan.orient ? ' oriented' : ''}`
      : 'none',
    store: store.planHash,
  }
}

import { sha256 } from '../base/files.js'
import type { Store } from '../embeddings/store/store.js'
import type { Provenance } from './provenance.js'

/** Which embeddings a store's layer holds, as classifiers record and check it. */
export function provenanceOf(store: Store, layer: string): Provenance {
  const { plan } = store
  return {
    backbone: plan.backbone.id,
    backboneSha256: plan.backbone.sha256,
    layer,
    // Short enough for a message, yet another text for anything that changes values: steps, resampler, pooling,
    // orientation.
    recipe: plan.recipe
      ? `${plan.recipe.name} (${plan.resize}, ${plan.pool}${plan.orient ? ', oriented' : ''}, ` +
        `${sha256(JSON.stringify(plan.recipe.steps)).slice(0, 8)})`
      : 'none',
    ...(plan.recipe
      ? {
          extraction: {
            tensor: plan.layers.find(({ name }) => name === layer)?.tensor ?? layer,
            pool: plan.pool,
            resize: plan.resize,
            orient: plan.orient,
            recipe: plan.recipe,
          },
        }
      : {}),
    store: store.planHash,
  }
}

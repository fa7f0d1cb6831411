import { versions } from '../../base/versions.js'
import { provenanceOf } from '../../classifiers/store-provenance.js'
import { readTable, readThumbs, type Store } from '../../embeddings/store/store.js'
import type { ComparisonTable } from '../../evaluation/plan/plan.js'
import type { Evaluation } from '../../evaluation/results/schema.js'
import { machineFacts } from '../../runtime/machine.js'

/** Trainers that `compare` runs when none are named. The reference adapters are never among them. */
export const defaultTrainers = ['linear-svm', 'logistic', 'random-forest', 'mlp', 'knn'] as const

/** Every layer of a store as tables to compare on. */
export async function comparisonTables(store: Store, layers?: readonly string[]): Promise<ComparisonTable[]> {
  const thumbs = await readThumbs(store)
  const dHashes = new Map([...thumbs].map(([id, { dHash }]) => [id, dHash]))
  const names = layers ?? store.plan.layers.map((layer) => layer.name)
  return Promise.all(
    names.map(async (name) => {
      const table = await readTable(store, name)
      const { recipe } = provenanceOf(store, table.layer)
      const { plan } = store
      const words = [
        plan.backbone.id,
        table.layer,
        ...(plan.recipe ? [plan.recipe.name] : []),
        ...(plan.views > 1 ? [`${plan.views} views`] : []),
        ...(plan.testViews ? [plan.testViews] : []),
      ]
      return {
        name: words.join(' · '),
        dataset: store.plan.dataset.name,
        table,
        store: { path: store.path, backbone: store.plan.backbone.id, planHash: store.planHash, recipe },
        dHashes: dHashes.size > 0 ? dHashes : undefined,
      }
    }),
  )
}

/**
 * The tables with the shortest names that tell them apart: the backbone's id, with its layer where one backbone gives
 * several, in full where even that is not enough. Layer and recipe stay on record with each table.
 */
export function shortlyNamed(tables: readonly ComparisonTable[]): ComparisonTable[] {
  const names = (of: (table: ComparisonTable) => string): string[] => tables.map(of)
  // The same backbone may stand once in each of several data sets.
  const apart = (found: readonly string[]): boolean =>
    new Set(found.map((name, i) => `${tables[i]!.dataset}/${name}`)).size === tables.length
  const choices = [
    names((table) => table.store?.backbone ?? table.name),
    names((table) => `${table.store?.backbone ?? table.name} ${table.table.layer}`),
  ]
  const chosen = choices.find(apart)
  return chosen ? tables.map((table, i) => ({ ...table, name: chosen[i]! })) : [...tables]
}

/** What an evaluation records for whoever wants to repeat it. */
export function comparisonProvenance(command: string | null, experiment: string | null): Evaluation['provenance'] {
  const machine = machineFacts()
  return {
    command,
    experiment,
    created: new Date().toISOString(),
    versions: Object.entries(versions()),
    machine: [
      ['cpu', machine.cpu],
      ['cores', machine.cores],
      ['memoryBytes', machine.memoryBytes],
      ['platform', `${machine.platform} ${machine.arch}`],
    ],
  }
}

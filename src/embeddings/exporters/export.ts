import { layerValues, textValues } from '../store/arrow.js'
import { chooseLayer, readShard, type Store } from '../store/store.js'
import type { ExportChunk, ExportSource } from './contract.js'

/** A layer of a store as exporters read it: one shard in memory at a time. */
export function exportSource(store: Store, wanted?: string): ExportSource {
  const layer = chooseLayer(store, wanted)
  return {
    layer: layer.name,
    rows: store.manifest.rows,
    dim: layer.dim,
    classes: store.manifest.classes,
    facts: {
      'fc7.plan': store.planHash,
      'fc7.backbone': store.plan.backbone.id,
      'fc7.layer': layer.name,
      'fc7.recipe': store.plan.recipe?.name ?? '',
    },
    async *chunks(): AsyncIterable<ExportChunk> {
      for (let i = 0; i < store.plan.shards.length; i++) {
        const table = await readShard(store, i)
        if (table.numRows === 0) continue
        const view = table.getChild('view')
        yield {
          values: layerValues(table, layer.name)!.values,
          rows: table.numRows,
          ids: textValues(table, 'id').map((value) => value ?? ''),
          paths: textValues(table, 'path').map((value) => value ?? ''),
          labels: textValues(table, 'label'),
          splits: textValues(table, 'split'),
          groups: textValues(table, 'group'),
          views: Array.from({ length: table.numRows }, (_, row) => Number(view?.get(row) ?? 0)),
        }
      }
    },
  }
}

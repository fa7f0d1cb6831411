import { palette } from '../charts/charts.js'
import type { EmbeddingMap } from '../charts/map.js'
import type { Images } from '../charts/sprite.js'
import type { ShownNames } from '../data/detail.js'
import type { ReportInput } from '../data/input.js'
import type { RankedRecord } from '../data/record.js'

/** A map and the data set that it shows. */
export interface DrawnMap {
  readonly dataset: number
  readonly map: EmbeddingMap
}

function base64(values: ArrayBufferView): string {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64')
}

/**
 * What the report's script reads: names as shown, numbers as little-endian base64. `candidates` are in the order of
 * `detailed`.
 */
export function clientData(
  input: ReportInput,
  shown: readonly ShownNames[],
  detailed: readonly Pick<RankedRecord, 'id' | 'title'>[],
  images: Images,
  maps: readonly DrawnMap[],
): unknown {
  const byId = new Map(input.candidates.map((candidate) => [candidate.id, candidate]))
  const { sprite } = images
  const large: [number, string][] = [...images.large].map(([place, { type, bytes }]) => [
    place,
    `data:${type};base64,${base64(bytes)}`,
  ])
  return {
    palette,
    sprite: sprite && { columns: sprite.columns, rows: sprite.rows },
    large: Object.fromEntries(large),
    datasets: input.datasets.map((dataset, at) => ({
      classes: shown[at]!.classes,
      ids: shown[at]!.ids,
      labels: base64(Int16Array.from(dataset.labels)),
      places: base64(Int16Array.from(images.places[at]!)),
    })),
    candidates: detailed.map(({ id, title }) => {
      const candidate = byId.get(id)!
      const outcome = candidate.outcome!
      const k = input.datasets[candidate.dataset]!.classes.length
      const sure =
        outcome.scores !== undefined && outcome.scoreKind === 'probability'
          ? Uint8Array.from(outcome.predicted, (predicted, i) =>
              Math.max(0, Math.min(255, Math.round(outcome.scores![i * k + predicted]! * 255))),
            )
          : undefined
      return {
        title,
        dataset: candidate.dataset,
        rows: base64(outcome.rows),
        predicted: base64(Int16Array.from(outcome.predicted)),
        sure: sure === undefined ? undefined : base64(sure),
      }
    }),
    maps: maps.map(({ dataset, map }) => ({
      dataset,
      rows: base64(map.rows),
      places: base64(Uint16Array.from(map.places, (place) => Math.round(place * 4095))),
    })),
  }
}

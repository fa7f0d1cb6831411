import { Fc7Error } from '../../base/errors.js'
import type { Exporter } from './contract.js'
import { csv } from './csv.js'
import { npy } from './npy.js'
import { npz } from './npz.js'
import { parquet } from './parquet.js'
import { projector } from './projector.js'
import { safetensors } from './safetensors.js'

/** All formats that `fc7 export` writes. */
export const exporters: readonly Exporter[] = [npy, npz, parquet, safetensors, csv, projector]

/** @throws Fc7Error EXPORT_UNKNOWN */
export function getExporter(id: string): Exporter {
  const found = exporters.find((exporter) => exporter.id === id)
  if (!found)
    throw new Fc7Error('EXPORT_UNKNOWN', `There is no export format "${id}".`, {
      hint: `Choose one of: ${exporters.map((exporter) => exporter.id).join(', ')}.`,
    })
  return found
}

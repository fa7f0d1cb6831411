import { loadCard } from '../../backbones/library.js'
import { mayGive } from '../../backbones/resolve.js'
import { Fc7Error } from '../../base/errors.js'
import type { Provenance } from '../../classifiers/provenance.js'

/**
 * The id of the network that a classifier was trained on, for `--model` where nobody gives one. A network that was a
 * file has no card, or there is another one of its name: nothing is to be fetched for that.
 *
 * @throws Fc7Error MODEL_UNKNOWN
 */
export async function ownNetwork({ backbone, backboneSha256 }: Provenance, cacheFolder: string): Promise<string> {
  const unknown = (why: string, cause?: unknown): Fc7Error =>
    new Fc7Error('MODEL_UNKNOWN', `The classifier's network ${backbone} ${why}.`, {
      hint: `Give its ONNX file with --model${backboneSha256 ? ` (sha256 ${backboneSha256.slice(0, 12)}…)` : ''}.`,
      cause,
    })
  const card = await loadCard(backbone, cacheFolder).catch((error) => {
    throw error instanceof Fc7Error && error.code === 'MODEL_UNKNOWN'
      ? unknown('is none that fc7 knows by name', error)
      : error
  })
  if (backboneSha256 !== undefined && !mayGive(card, backboneSha256))
    throw unknown('has other weights than the one that fc7 knows by this name')
  return card.id
}

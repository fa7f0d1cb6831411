import { basename, join, resolve } from 'node:path'
import type { Card } from '../../backbones/card.js'
import { refuseTaken } from '../../backbones/import.js'
import { userCardsFolder } from '../../backbones/library.js'
import { Fc7Error } from '../../base/errors.js'
import { writeJsonAtomic } from '../../base/files.js'

/** How a tuned network is to be called: `--id`, else the name of its folder. */
export interface Naming {
  readonly out: string
  readonly id?: string | undefined
  /** Where the user's cards are. Left out: the network gets no name there. */
  readonly cacheFolder?: string | undefined
  readonly force?: boolean | undefined
}

export const tunedFile = (out: string): string => resolve(out, 'model.onnx')

/** The id of the network in its card. */
export function tunedId({ out, id }: Naming): string {
  if (id !== undefined) return id
  const name = basename(resolve(out))
    .replace(/[^\w.-]+/g, '-')
    .replace(/^[^a-zA-Z0-9]+/, '')
  return name || 'tuned'
}

/**
 * Whether `--model <id>` can mean this network. A name that was asked for must be free; where the folder's name is
 * taken, the network stays without one.
 *
 * @throws Fc7Error USAGE_MODEL_ID, MODEL_ID_TAKEN of a name that was asked for
 */
export async function nameIsFree(naming: Naming): Promise<boolean> {
  if (naming.cacheFolder === undefined) return false
  const force = naming.id !== undefined && (naming.force ?? false)
  try {
    await refuseTaken(tunedId(naming), naming.cacheFolder, force, tunedFile(naming.out))
    return true
  } catch (error) {
    if (naming.id === undefined && error instanceof Fc7Error) return false
    throw error
  }
}

/** Writes the network's card among the user's, with the network where it lies. @returns whether its id is known now */
export async function registerTuned(card: Card, naming: Naming): Promise<boolean> {
  if (!(await nameIsFree(naming))) return false
  const sources = card.sources.map((source) =>
    source.kind === 'file' ? { ...source, path: tunedFile(naming.out) } : source,
  )
  await writeJsonAtomic(join(userCardsFolder(naming.cacheFolder!), `${card.id}.json`), { ...card, sources })
  return true
}

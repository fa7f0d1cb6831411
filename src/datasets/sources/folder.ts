import { lstat, readdir, realpath, stat } from 'node:fs/promises'
import { basename, join, sep } from 'node:path'
import { Fc7Error, messageOf, systemCode, throwIfAborted } from '../../base/errors.js'
import type { DatasetItem, DatasetOptions, DatasetSource, Layout, OpenedSource } from '../contract.js'
import { isImageName, nameText, splitOf } from '../formats/names.js'
import { isInside } from '../formats/outside.js'

const maxDepth = 64
/** Folders reached through links of links multiply; more than this many links on one path is taken for a trap. */
const maxFolderLinks = 8
const slash = Buffer.from('/')

/** An entry of a folder, links resolved. */
interface Entry {
  readonly name: string
  readonly bytes: Buffer
  readonly kind: 'file' | 'folder' | 'broken'
  readonly isLink: boolean
  readonly size: number
  readonly broken?: { readonly code: string; readonly message: string } | undefined
}

/** Where the walk is: the folder's bytes on disk, its relative text, and the identities of the folders above. */
interface Place {
  readonly path: Buffer
  readonly relative: string
  readonly depth: number
  readonly links: number
  readonly above: readonly string[]
}

interface Walk {
  readonly realRoot: string
  readonly allowOutside: boolean
  ignored: number
  /** Relative paths of folders without an image in them. */
  readonly empty: string[]
}

const joinBytes = (folder: Buffer, name: Buffer): Buffer => Buffer.concat([folder, slash, name])
const identity = (found: { dev: number; ino: number }): string => `${found.dev}:${found.ino}`

async function resolveLink(walk: Walk, name: string, bytes: Buffer, path: Buffer): Promise<Entry> {
  const broken = (code: string, message: string): Entry => ({
    name,
    bytes,
    kind: 'broken',
    isLink: true,
    size: 0,
    broken: { code, message },
  })
  try {
    const found = await stat(path)
    if (!walk.allowOutside) {
      const real = await realpath(path)
      if (!isInside(walk.realRoot, real))
        return broken('OUTSIDE_ROOT', 'the link leaves the data set (--allow-outside permits it)')
    }
    const kind = found.isDirectory() ? 'folder' : 'file'
    if (kind === 'file' && !found.isFile()) return broken('NOT_A_FILE', 'it is no regular file')
    return { name, bytes, kind, isLink: true, size: found.size }
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT') return broken('BROKEN_LINK', 'the link leads nowhere')
    if (code === 'ELOOP') return broken('LINK_LOOP', 'the link leads round in a circle')
    return broken('UNREADABLE', messageOf(error))
  }
}

/** A folder's visible entries in the byte order of their whole paths: a folder sorts as its name with `/`. */
async function listFolder(walk: Walk, place: Place): Promise<readonly { entry: Entry; image: boolean }[]> {
  const names = (await readdir(place.path, { encoding: 'buffer', withFileTypes: true })) as unknown as {
    name: Buffer
    isFile(): boolean
    isDirectory(): boolean
    isSymbolicLink(): boolean
  }[]
  const kept: { entry: Entry; image: boolean; key: Buffer }[] = []
  for (const dirent of names) {
    const bytes = Buffer.from(dirent.name)
    if (bytes[0] === 0x2e) continue
    const name = nameText(bytes)
    const image = isImageName(name)
    const path = joinBytes(place.path, bytes)
    let entry: Entry
    if (dirent.isSymbolicLink()) {
      entry = await resolveLink(walk, name, bytes, path)
      if (entry.kind === 'file' && !image) walk.ignored++
      if (entry.kind === 'file' && !image) continue
    } else if (dirent.isDirectory()) entry = { name, bytes, kind: 'folder', isLink: false, size: 0 }
    else if (!image) {
      walk.ignored++
      continue
    } else if (dirent.isFile()) entry = { name, bytes, kind: 'file', isLink: false, size: -1 }
    else {
      const broken = { code: 'NOT_A_FILE', message: 'it is no regular file' }
      entry = { name, bytes, kind: 'broken', isLink: false, size: 0, broken }
    }
    kept.push({ entry, image, key: entry.kind === 'folder' ? Buffer.concat([bytes, slash]) : bytes })
  }
  return kept.sort((a, b) => Buffer.compare(a.key, b.key))
}

/** Items below one folder, in order. `describe` gives label and split from the relative path. */
async function* walkFolder(
  walk: Walk,
  place: Place,
  describe: (relative: string) => { label?: string | undefined; split?: string | undefined },
  signal: AbortSignal | undefined,
): AsyncGenerator<DatasetItem> {
  const brokenItem = (relative: string, code: string, message: string): DatasetItem => ({
    id: relative,
    path: relative,
    size: 0,
    ...describe(relative),
    load: { kind: 'broken', code, message },
  })
  let entries: Awaited<ReturnType<typeof listFolder>>
  try {
    entries = await listFolder(walk, place)
  } catch (error) {
    if (place.relative === '') {
      throw new Fc7Error('DATASET_UNREADABLE', `${walk.realRoot} cannot be read: ${messageOf(error)}.`, {
        hint: 'Check its permissions.',
        cause: error,
      })
    }
    yield brokenItem(place.relative, 'FOLDER_UNREADABLE', messageOf(error))
    return
  }
  for (const { entry, image } of entries) {
    throwIfAborted(signal, 'Reading the data set')
    const relative = place.relative === '' ? entry.name : `${place.relative}/${entry.name}`
    const path = joinBytes(place.path, entry.bytes)
    if (entry.kind === 'broken') {
      yield brokenItem(relative, entry.broken!.code, entry.broken!.message)
    } else if (entry.kind === 'file') {
      const size =
        entry.size >= 0
          ? entry.size
          : await lstat(path).then(
              (found) => found.size,
              () => 0,
            )
      // Plain text wherever it says the same: it is what most readers expect.
      const text = path.toString('utf8')
      const same = Buffer.from(text, 'utf8').equals(path)
      yield {
        id: relative,
        path: relative,
        size,
        ...describe(relative),
        load: { kind: 'file', path: same ? text : path },
      }
    } else {
      const found = await stat(path).catch(() => undefined)
      const own = found ? identity(found) : relative
      const links = place.links + (entry.isLink ? 1 : 0)
      if (entry.isLink && place.above.includes(own)) {
        yield brokenItem(relative, 'LINK_LOOP', 'the link leads back to a folder above it')
        continue
      }
      if (place.depth + 1 > maxDepth || links > maxFolderLinks) {
        yield brokenItem(
          relative,
          'TOO_DEEP',
          `more than ${maxDepth} folders or ${maxFolderLinks} links to folders deep`,
        )
        continue
      }
      const inner: Place = { path, relative, depth: place.depth + 1, links, above: [...place.above, own] }
      let some = false
      for await (const item of walkFolder(walk, inner, describe, signal)) {
        some = true
        yield item
      }
      if (!image && !some) walk.empty.push(relative)
      if (image && !some) yield brokenItem(relative, 'IS_FOLDER', 'it is a folder, not an image')
    }
  }
}

async function visibleFolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const folders: string[] = []
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue
    if (entry.isDirectory()) folders.push(entry.name)
    else if (entry.isSymbolicLink()) {
      const target = await stat(join(folder, entry.name)).catch(() => undefined)
      if (target?.isDirectory()) folders.push(entry.name)
    }
  }
  return folders.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

/**
 * DESIGN's rule: splits only if every folder is named like one, a train folder is among them, and each holds folders.
 */
async function looksSplit(root: string, folders: readonly string[]): Promise<boolean> {
  if (!folders.every((name) => splitOf(name) !== undefined)) return false
  if (!folders.some((name) => splitOf(name) === 'train')) return false
  for (const name of folders) {
    if ((await visibleFolders(join(root, name)).catch(() => [])).length === 0) return false
  }
  return true
}

function shortList(names: readonly string[]): string {
  const shown = names.slice(0, 6).join(', ')
  return names.length > 6 ? `${shown} and ${names.length - 6} more` : shown
}

function decisionText(name: string, layout: Layout, folders: readonly string[], forced: boolean): string {
  const why = forced ? ' because of --layout' : ''
  if (folders.length === 0) return `${name} holds no folders: its images have no labels.`
  return layout === 'splits'
    ? `${name} is read as splits${why}: ${shortList(folders)}; the folders inside them are the labels.`
    : `${name} is read as labels${why}: ${folders.length} folder${folders.length === 1 ? '' : 's'} ` +
        `(${shortList(folders)}).`
}

/** A folder of images: folders are labels, or splits that hold labels. */
export const folder: DatasetSource = {
  id: 'folder',
  form: 'a folder of images, one folder a label',
  recognises: async (_path, isFolder) => isFolder,
  async open(path: string, options: DatasetOptions): Promise<OpenedSource> {
    const realRoot = await realpath(path)
    let folders: string[]
    try {
      folders = await visibleFolders(path)
    } catch (error) {
      throw new Fc7Error('DATASET_UNREADABLE', `${path} cannot be read: ${messageOf(error)}.`, {
        hint: 'Check its permissions.',
        cause: error,
      })
    }
    const layout: Layout = options.layout ?? ((await looksSplit(path, folders)) ? 'splits' : 'labels')
    const describe = (relative: string): { label?: string | undefined; split?: string | undefined } => {
      const parts = relative.split('/')
      if (layout === 'labels') return parts.length > 1 ? { label: parts[0]! } : {}
      const split = parts.length > 1 ? { split: splitOf(parts[0]!) ?? parts[0]! } : {}
      return parts.length > 2 ? { ...split, label: parts[1]! } : split
    }
    let ignored = 0
    let without: readonly string[] = []
    return {
      decision: decisionText(path.split(sep).join('/'), layout, folders, options.layout !== undefined),
      layout,
      async *items(signal) {
        const walk: Walk = { realRoot, allowOutside: options.allowOutside ?? false, ignored: 0, empty: [] }
        const labelled = new Set<string | undefined>()
        const root = await stat(path)
        const start: Place = { path: Buffer.from(path), relative: '', depth: 0, links: 0, above: [identity(root)] }
        for await (const item of walkFolder(walk, start, describe, signal)) {
          labelled.add(item.label)
          yield item
        }
        ignored = walk.ignored
        // A folder is a label's own if an image right in it would have that label.
        const depth = layout === 'labels' ? 1 : 2
        const own = walk.empty.filter((relative) => relative.split('/').length === depth)
        const labels = own.flatMap((relative) => describe(`${relative}/x`).label ?? [])
        without = [...new Set(labels)].filter((label) => !labelled.has(label))
      },
      notes: () =>
        ignored > 0
          ? [`${ignored} file${ignored === 1 ? '' : 's'} that are no images by their names were passed over.`]
          : [],
      emptyLabels: () => without,
    }
  },
}

/** One image file by itself, without a label. */
export const image: DatasetSource = {
  id: 'image',
  form: 'one image file',
  recognises: async (path, isFolder) => !isFolder && isImageName(path),
  async open(path) {
    const name = basename(path)
    return {
      decision: `${name} is one image without a label.`,
      async *items() {
        const { size } = await stat(path)
        yield { id: name, path: name, size, load: { kind: 'file', path } }
      },
      notes: () => [],
    }
  },
}

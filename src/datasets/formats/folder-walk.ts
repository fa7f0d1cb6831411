import { lstat, readdir, realpath, stat } from 'node:fs/promises'
import { Fc7Error, messageOf, systemCode, throwIfAborted } from '../../base/errors.js'
import type { DatasetItem, ItemLoad } from '../contract.js'
import { isImageName, nameText } from './names.js'
import { isInside } from './outside.js'

const maxDepth = 64
/** Folders reached through links of links multiply; more than this many links on one path is taken for a trap. */
const maxFolderLinks = 8
const slash = Buffer.from('/')

/** Why there are no bytes. */
type Broken = Omit<ItemLoad & { kind: 'broken' }, 'kind'>

/** An entry of a folder, links resolved. */
interface Entry {
  readonly name: string
  readonly bytes: Buffer
  readonly kind: 'file' | 'folder' | 'broken'
  readonly isLink: boolean
  /** Whether it is named like an image. */
  readonly isImage: boolean
  /** Bytes of a file, where known already. */
  readonly size?: number | undefined
  readonly broken?: Broken | undefined
}

/** Where the walk is: the folder's bytes on disk, its relative text, and the identities of the folders above. */
interface Place {
  readonly path: Buffer
  readonly relative: string
  readonly depth: number
  readonly links: number
  readonly above: readonly string[]
}

/** Names as bytes: they need not be UTF-8. */
interface ByteEntry {
  readonly name: Buffer
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
}

const joinBytes = (folder: Buffer, name: Buffer): Buffer => Buffer.concat([folder, slash, name])
const identity = (found: { dev: number; ino: number }): string => `${found.dev}:${found.ino}`

/** A folder sorts as its name with `/`, so that whole paths are in byte order. */
const sortKey = ({ kind, bytes }: Entry): Buffer => (kind === 'folder' ? Buffer.concat([bytes, slash]) : bytes)

/** What a file is loaded by: plain text wherever it says the same as the bytes, as most readers expect. */
function loadOf(path: Buffer): ItemLoad {
  const text = path.toString('utf8')
  return { kind: 'file', path: Buffer.from(text, 'utf8').equals(path) ? text : path }
}

export interface FolderWalkOptions {
  /** The root with its links resolved: links must stay below it. */
  readonly realRoot: string
  readonly allowOutside: boolean
  /** Label and split of an image by its relative path. */
  readonly describe: (relative: string) => Pick<DatasetItem, 'label' | 'split'>
  readonly signal?: AbortSignal | undefined
}

/** One walk over a folder and all below it: images in the byte order of their relative paths. */
export class FolderWalk {
  readonly #options: FolderWalkOptions
  /** Files passed over because they are not named like images. */
  ignored = 0
  /** Relative paths of folders without an image in them. */
  readonly empty: string[] = []

  constructor(options: FolderWalkOptions) {
    this.#options = options
  }

  /** @throws Fc7Error DATASET_UNREADABLE where the root cannot be read; INTERRUPTED */
  async *items(root: string): AsyncGenerator<DatasetItem> {
    const above = [identity(await stat(root))]
    yield* this.#folder({ path: Buffer.from(root), relative: '', depth: 0, links: 0, above })
  }

  async *#folder(place: Place): AsyncGenerator<DatasetItem> {
    let entries: readonly Entry[]
    try {
      entries = await this.#list(place)
    } catch (error) {
      if (place.relative === '') {
        throw new Fc7Error('DATASET_UNREADABLE', `${this.#options.realRoot} cannot be read: ${messageOf(error)}.`, {
          hint: 'Check its permissions.',
          cause: error,
        })
      }
      yield this.#brokenItem(place.relative, { code: 'FOLDER_UNREADABLE', message: messageOf(error) })
      return
    }
    for (const entry of entries) {
      throwIfAborted(this.#options.signal, 'Reading the data set')
      const relative = place.relative === '' ? entry.name : `${place.relative}/${entry.name}`
      if (entry.kind === 'folder') yield* this.#subfolder(place, entry, relative)
      else if (entry.broken) yield this.#brokenItem(relative, entry.broken)
      else yield await this.#fileItem(place, entry, relative)
    }
  }

  /** A folder's visible images and folders, in order. */
  async #list({ path }: Place): Promise<readonly Entry[]> {
    const found = (await readdir(path, { encoding: 'buffer', withFileTypes: true })) as unknown as ByteEntry[]
    const kept: { entry: Entry; key: Buffer }[] = []
    for (const dirent of found) {
      const bytes = Buffer.from(dirent.name)
      if (bytes[0] === 0x2e) continue
      const entry = await this.#entry(dirent, bytes, joinBytes(path, bytes))
      if (entry) kept.push({ entry, key: sortKey(entry) })
      else this.ignored++
    }
    return kept.sort((a, b) => Buffer.compare(a.key, b.key)).map(({ entry }) => entry)
  }

  /** What an entry is; undefined for what is neither a folder nor named like an image. */
  async #entry(dirent: ByteEntry, bytes: Buffer, path: Buffer): Promise<Entry | undefined> {
    const name = nameText(bytes)
    const isImage = isImageName(name)
    const common = { name, bytes, isImage, isLink: dirent.isSymbolicLink() }
    if (common.isLink) {
      const target = await this.#linkTarget(path)
      return target.kind === 'file' && !isImage ? undefined : { ...common, ...target }
    }
    if (dirent.isDirectory()) return { ...common, kind: 'folder' }
    if (!isImage) return undefined
    if (dirent.isFile()) return { ...common, kind: 'file' }
    return { ...common, kind: 'broken', broken: { code: 'NOT_A_FILE', message: 'it is no regular file' } }
  }

  async #linkTarget(path: Buffer): Promise<Pick<Entry, 'kind' | 'size' | 'broken'>> {
    const broken = (code: string, message: string) => ({ kind: 'broken', broken: { code, message } }) as const
    const { allowOutside, realRoot } = this.#options
    try {
      const found = await stat(path)
      if (!allowOutside && !isInside(realRoot, await realpath(path)))
        return broken('OUTSIDE_ROOT', 'the link leaves the data set (--allow-outside permits it)')
      if (found.isDirectory()) return { kind: 'folder' }
      return found.isFile() ? { kind: 'file', size: found.size } : broken('NOT_A_FILE', 'it is no regular file')
    } catch (error) {
      const code = systemCode(error)
      if (code === 'ENOENT') return broken('BROKEN_LINK', 'the link leads nowhere')
      if (code === 'ELOOP') return broken('LINK_LOOP', 'the link leads round in a circle')
      return broken('UNREADABLE', messageOf(error))
    }
  }

  async #fileItem(place: Place, entry: Entry, relative: string): Promise<DatasetItem> {
    const path = joinBytes(place.path, entry.bytes)
    const found = entry.size === undefined ? await lstat(path).catch(() => undefined) : entry
    const size = found?.size ?? 0
    return { id: relative, path: relative, size, ...this.#options.describe(relative), load: loadOf(path) }
  }

  #brokenItem(relative: string, broken: Broken): DatasetItem {
    const described = this.#options.describe(relative)
    return { id: relative, path: relative, size: 0, ...described, load: { kind: 'broken', ...broken } }
  }

  async *#subfolder(place: Place, entry: Entry, relative: string): AsyncGenerator<DatasetItem> {
    const path = joinBytes(place.path, entry.bytes)
    const found = await stat(path).catch(() => undefined)
    const own = found ? identity(found) : relative
    const links = place.links + (entry.isLink ? 1 : 0)
    if (entry.isLink && place.above.includes(own)) {
      yield this.#brokenItem(relative, { code: 'LINK_LOOP', message: 'the link leads back to a folder above it' })
      return
    }
    if (place.depth + 1 > maxDepth || links > maxFolderLinks) {
      const message = `more than ${maxDepth} folders or ${maxFolderLinks} links to folders deep`
      yield this.#brokenItem(relative, { code: 'TOO_DEEP', message })
      return
    }
    let isEmpty = true
    for await (const item of this.#folder({
      path,
      relative,
      depth: place.depth + 1,
      links,
      above: [...place.above, own],
    })) {
      isEmpty = false
      yield item
    }
    if (!isEmpty) return
    if (entry.isImage) yield this.#brokenItem(relative, { code: 'IS_FOLDER', message: 'it is a folder, not an image' })
    else this.empty.push(relative)
  }
}

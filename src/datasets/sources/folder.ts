import { readdir, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { Fc7Error, messageOf } from '../../base/errors.js'
import { counted } from '../../base/text.js'
import type { DatasetItem, DatasetOptions, DatasetSource, Layout, OpenedSource } from '../contract.js'
import { FolderWalk } from '../formats/folder-walk.js'
import { splitOf } from '../formats/names.js'

/** @throws Fc7Error DATASET_UNREADABLE */
async function firstLevel(path: string): Promise<string[]> {
  try {
    return await visibleFolders(path)
  } catch (error) {
    throw new Fc7Error('DATASET_UNREADABLE', `${path} cannot be read: ${messageOf(error)}.`, {
      hint: 'Check its permissions.',
      cause: error,
    })
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
    : `${name} is read as labels${why}: ${counted(folders.length, 'folder')} (${shortList(folders)}).`
}

/** Label and split by an image's relative path. */
function describe(layout: Layout, relative: string): Pick<DatasetItem, 'label' | 'split'> {
  const folders = relative.split('/').slice(0, -1)
  const [first, second] = folders
  if (layout === 'labels') return { label: first }
  return { split: first === undefined ? undefined : (splitOf(first) ?? first), label: second }
}

/** Labels of the empty folders that no image has. A folder is a label's own if an image right in it would have it. */
function labelsWithout(empty: readonly string[], layout: Layout, labelled: ReadonlySet<string | undefined>): string[] {
  const depth = layout === 'labels' ? 1 : 2
  const own = empty.filter((relative) => relative.split('/').length === depth)
  const labels = own.flatMap((relative) => describe(layout, `${relative}/x`).label ?? [])
  return [...new Set(labels)].filter((label) => !labelled.has(label))
}

/** A folder of images: folders are labels, or splits that hold labels. */
export const folder: DatasetSource = {
  id: 'folder',
  form: 'a folder of images, one folder a label',
  recognises: async (_path, isFolder) => isFolder,
  async open(path: string, options: DatasetOptions): Promise<OpenedSource> {
    const realRoot = await realpath(path)
    const folders = await firstLevel(path)
    const layout: Layout = options.layout ?? ((await looksSplit(path, folders)) ? 'splits' : 'labels')
    let ignored = 0
    let without: readonly string[] = []
    return {
      decision: decisionText(path.split(sep).join('/'), layout, folders, options.layout !== undefined),
      layout,
      async *items(signal) {
        const walk = new FolderWalk({
          realRoot,
          allowOutside: options.allowOutside ?? false,
          describe: (relative) => describe(layout, relative),
          signal,
        })
        const labelled = new Set<string | undefined>()
        for await (const item of walk.items(path)) {
          labelled.add(item.label)
          yield item
        }
        ignored = walk.ignored
        without = labelsWithout(walk.empty, layout, labelled)
      },
      notes: () => {
        if (ignored === 0) return []
        const are = ignored === 1 ? 'that is no image by its name was' : 'that are no images by their names were'
        return [`${counted(ignored, 'file')} ${are} passed over.`]
      },
      emptyLabels: () => without,
    }
  },
}

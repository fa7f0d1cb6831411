import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { Fc7Error, messageOf, systemCode } from '../base/errors.js'
import type { DatasetItem, DatasetOptions, DatasetSource, Layout } from './contract.js'
import { datasetSources } from './registry.js'
import { SeenTexts } from './unique.js'

export interface Dataset {
  /** Which source plugin reads it. */
  readonly source: string
  readonly path: string
  /** How it is read, as one sentence for the user. */
  readonly decision: string
  readonly layout?: Layout | undefined
  /**
   * All items in the data set's fixed order: the byte order of relative paths for folders, the order of the rows for
   * lists and archives. Streaming; can be walked again.
   *
   * @throws Fc7Error DATASET_EMPTY after a walk that found no image, LIST_BROKEN, INTERRUPTED
   */
  items(signal?: AbortSignal): AsyncIterable<DatasetItem>
  /** What the last complete walk left out, as sentences. */
  notes(): readonly string[]
  /** Labels that the last complete walk found without any image, such as an empty folder. */
  emptyLabels(): readonly string[]
}

function groupMatcher(pattern: string | undefined): ((path: string) => string | undefined) | undefined {
  if (pattern === undefined) return undefined
  let expression: RegExp
  try {
    expression = new RegExp(pattern, 'u')
  } catch (error) {
    throw new Fc7Error('USAGE_GROUP_FROM', `--group-from is no valid regular expression: ${messageOf(error)}.`, {
      hint: 'Example: --group-from "^[^/]+/(patient\\d+)".',
    })
  }
  // An alternative that matches the empty text tells how many groups there are.
  if ((new RegExp(`${pattern}|`, 'u').exec('')?.length ?? 0) < 2) {
    throw new Fc7Error(
      'USAGE_GROUP_FROM',
      '--group-from has no parentheses, so there is nothing to take as the group.',
      {
        hint: 'Put the part of the path that names the group into parentheses: "^[^/]+/(patient\\d+)".',
      },
    )
  }
  return (path) => expression.exec(path)?.[1]
}

/** The items of a plugin with groups taken from paths, repeated ids distinguished, and emptiness noticed. */
async function* finished(
  source: AsyncIterable<DatasetItem>,
  path: string,
  group: ((path: string) => string | undefined) | undefined,
): AsyncGenerator<DatasetItem> {
  const seen = new SeenTexts()
  let row = 0
  for await (const item of source) {
    const from = group?.(item.path)
    const id = seen.has(item.id) ? `${item.id}#row=${row}` : item.id
    yield id === item.id && from === undefined ? item : { ...item, id, group: from ?? item.group }
    row++
  }
  if (row === 0) {
    throw new Fc7Error('DATASET_EMPTY', `${path} holds no images.`, {
      hint: 'fc7 looks for files ending in .jpg, .jpeg, .png, .webp, .gif or .tiff; hidden files do not count.',
    })
  }
}

/** The part of a larger request that says how a data set is read. */
export function datasetOptions(
  asked: {
    readonly [K in keyof DatasetOptions]: DatasetOptions[K] | undefined
  },
): DatasetOptions {
  const { layout, groupFrom, allowOutside } = asked
  return { layout, groupFrom, allowOutside }
}

/**
 * Opens labelled images of any form that the registry knows.
 *
 * @throws Fc7Error DATASET_MISSING, DATASET_UNREADABLE, DATASET_UNKNOWN, USAGE_GROUP_FROM, LIST_BROKEN
 */
export async function openDataset(path: string, options: DatasetOptions = {}): Promise<Dataset> {
  const group = groupMatcher(options.groupFrom)
  const found = await stat(path).catch((error: unknown) => {
    const missing = systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR'
    throw new Fc7Error(
      missing ? 'DATASET_MISSING' : 'DATASET_UNREADABLE',
      missing ? `${path} does not exist.` : `${path} cannot be read: ${messageOf(error)}.`,
      {
        hint: 'Check the path. It may be a folder of images, a list (.csv, .jsonl), .tar or .parquet files.',
        cause: error,
      },
    )
  })
  let plugin: DatasetSource | undefined
  for (const candidate of datasetSources) {
    if (await candidate.recognises(path, found.isDirectory())) {
      plugin = candidate
      break
    }
  }
  if (!plugin) {
    throw new Fc7Error('DATASET_UNKNOWN', `${path} is in no form that fc7 reads images from.`, {
      hint: `It reads ${datasetSources.map((source) => source.form).join('; ')}.`,
    })
  }
  const opened = await plugin.open(path, options)
  return {
    source: plugin.id,
    path,
    decision: opened.decision,
    layout: opened.layout,
    items: (signal) => finished(opened.items(signal), path, group),
    notes: () => opened.notes(),
    emptyLabels: () => opened.emptyLabels?.() ?? [],
  }
}

/** What one pass over the items tells. */
export interface DatasetScan {
  readonly count: number
  /** Lower-case hex sha256 over (relative path, size, label, split, group, box) of every item in order. */
  readonly fingerprint: string
  /** Labels with their counts, in the order of first appearance: a label's place is its class index. */
  readonly labels: ReadonlyMap<string, number>
  readonly splits: ReadonlyMap<string, number>
  readonly unlabelled: number
  /** Sum of sizes in bytes. */
  readonly bytes: number
}

/** One item's line of the fingerprint: a JSON array and a newline. */
export function fingerprintLine(item: DatasetItem): string {
  const { path, size, label, split, group, box } = item
  const corners = box ? [box.x, box.y, box.w, box.h] : null
  return `${JSON.stringify([path, size, label ?? null, split ?? null, group ?? null, corners])}\n`
}

/** Takes items as they come and gives the {@link DatasetScan} at the end; for callers that walk the items anyway. */
export function createScan(): { add(item: DatasetItem): void; end(): DatasetScan } {
  const hash = createHash('sha256')
  const labels = new Map<string, number>()
  const splits = new Map<string, number>()
  let count = 0
  let unlabelled = 0
  let bytes = 0
  return {
    add(item) {
      hash.update(fingerprintLine(item))
      count++
      bytes += item.size
      if (item.label === undefined) unlabelled++
      else labels.set(item.label, (labels.get(item.label) ?? 0) + 1)
      if (item.split !== undefined) splits.set(item.split, (splits.get(item.split) ?? 0) + 1)
    },
    end: () => ({ count, fingerprint: hash.digest('hex'), labels, splits, unlabelled, bytes }),
  }
}

/** Walks the data set once, up to `limit` items. */
export async function scanDataset(
  dataset: Dataset,
  options: { readonly limit?: number | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<DatasetScan> {
  const scan = createScan()
  let left = options.limit ?? Number.POSITIVE_INFINITY
  for await (const item of dataset.items(options.signal)) {
    if (left-- <= 0) break
    scan.add(item)
  }
  return scan.end()
}

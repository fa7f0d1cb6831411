import { open } from 'node:fs/promises'
import { basename } from 'node:path'
import { messageOf, throwIfAborted } from '../../base/errors.js'
import { counted } from '../../base/text.js'
import type { DatasetItem, DatasetSource, ItemLoad } from '../contract.js'
import { isImageName, splitOfShard } from '../formats/names.js'
import { type Described, describe, idOf, textOf } from '../formats/records.js'
import { isShardFolder, shardsOf } from '../formats/shards.js'
import { PartReader, type TarEntry, TarError, tarEntries } from '../formats/tar.js'

const maxSidecarBytes = 1 << 20
const sidecarNames = ['cls', 'json', 'txt'] as const

/** Files of one key, gathered until the next key begins. */
interface Sample {
  readonly key: string
  readonly images: TarEntry[]
  readonly sidecars: Map<string, Buffer>
  tooLarge: boolean
}

/** A key is the path up to the first dot of its last part, an extension the rest. */
function splitKey(name: string): { key: string; extension: string } {
  const slash = name.lastIndexOf('/')
  const dot = name.indexOf('.', slash + 1)
  return dot < 0
    ? { key: name, extension: '' }
    : { key: name.slice(0, dot), extension: name.slice(dot + 1).toLowerCase() }
}

/** What the sidecars say; `.cls` wins over `.json`, that over `.txt`. A sentence if one cannot be read. */
function describeSample(sample: Sample): Described | string {
  if (sample.tooLarge) return `its .cls, .json or .txt is larger than ${maxSidecarBytes} bytes`
  let described: Described = {}
  const json = sample.sidecars.get('json')
  if (json) {
    let value: unknown
    try {
      value = JSON.parse(json.toString('utf8'))
    } catch (error) {
      return `its .json cannot be read: ${messageOf(error)}`
    }
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      const from = describe(new Map(Object.entries(value)))
      if (typeof from === 'string') return from
      described = from
    } else if (textOf(value) !== undefined) described = { label: textOf(value)! }
  }
  const firstLine = (bytes: Buffer | undefined): string | undefined =>
    textOf(bytes?.toString('utf8').trim().split('\n', 1)[0])
  const label = firstLine(sample.sidecars.get('cls')) ?? described.label ?? firstLine(sample.sidecars.get('txt'))
  return label === undefined ? described : { ...described, label }
}

function* itemsOf(sample: Sample, shard: string, archive: string): Generator<DatasetItem> {
  const described = describeSample(sample)
  for (const { name, offset, size } of sample.images) {
    const path = `${shard}/${name}`
    if (typeof described === 'string') {
      yield { id: path, path, size: 0, load: { kind: 'broken', code: 'SIDECAR_BROKEN', message: described } }
      continue
    }
    const split = described.split ?? splitOfShard(shard)
    const load: ItemLoad =
      size === 0
        ? { kind: 'broken', code: 'EMPTY', message: 'it has no bytes' }
        : { kind: 'range', path: archive, offset, length: size }
    yield { id: idOf(path, described.box), path, size, ...described, split, load }
  }
}

async function* shardItems(archive: string, passedOver: (entries: number) => void): AsyncGenerator<DatasetItem> {
  const shard = basename(archive)
  const broken = (message: string): DatasetItem => ({
    id: shard,
    path: shard,
    size: 0,
    load: { kind: 'broken', code: 'TAR_BROKEN', message },
  })
  const handle = await open(archive, 'r').catch((error: unknown) => messageOf(error))
  if (typeof handle === 'string') return yield broken(handle)
  try {
    const reader = new PartReader(handle, (await handle.stat()).size)
    let sample: Sample | undefined
    try {
      for await (const entry of tarEntries(reader)) {
        const name = entry.name.replace(/^(\.\/)+/, '')
        if (!entry.isFile || name.slice(name.lastIndexOf('/') + 1).startsWith('.')) {
          if (!entry.isFile && !entry.name.endsWith('/')) passedOver(1)
          continue
        }
        const { key, extension } = splitKey(name)
        if (sample?.key !== key) {
          if (sample) yield* itemsOf(sample, shard, archive)
          sample = { key, images: [], sidecars: new Map(), tooLarge: false }
        }
        const sidecar = sidecarNames.find((known) => extension === known)
        if (isImageName(name)) sample.images.push({ ...entry, name })
        else if (!sidecar) passedOver(1)
        else if (entry.size > maxSidecarBytes) sample.tooLarge = true
        // A copy: the reader's own buffer is larger and would be kept.
        else sample.sidecars.set(sidecar, Buffer.from(await reader.read(entry.offset, entry.size)))
      }
    } catch (error) {
      if (!(error instanceof TarError)) throw error
      if (sample) yield* itemsOf(sample, shard, archive)
      yield broken(error.message)
      return
    }
    if (sample) yield* itemsOf(sample, shard, archive)
  } finally {
    await handle.close()
  }
}

/** WebDataset shards: tar archives in which files of one key (`000.jpg`, `000.cls`) belong together. */
export const webdataset: DatasetSource = {
  id: 'webdataset',
  form: 'WebDataset .tar shards, one or a folder of them',
  recognises: (path, isFolder) => isShardFolder(path, isFolder, '.tar'),
  async open(path) {
    const shards = await shardsOf(path, '.tar')
    let passedOver = 0
    return {
      decision:
        `${basename(path)} is read as ${counted(shards.length, 'WebDataset shard')}; labels come from .cls, ` +
        '.json or .txt.',
      async *items(signal) {
        let count = 0
        for (const shard of shards) {
          for await (const item of shardItems(shard, (entries) => {
            count += entries
          })) {
            throwIfAborted(signal, 'Reading the data set')
            yield item
          }
        }
        passedOver = count
      },
      notes: () =>
        passedOver > 0
          ? [`Passed over in the archives: ${counted(passedOver, 'entry', 'entries')} beside images and labels.`]
          : [],
    }
  },
}

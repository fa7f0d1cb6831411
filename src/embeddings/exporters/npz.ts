import { Readable } from 'node:stream'
import yazl from 'yazl'
import { writeFileWith } from '../../base/files.js'
import type { Exporter, ExportSource } from './contract.js'
import { bytesOf, npyHeader } from './npy.js'

/** Texts as numpy's fixed-width unicode, which numpy reads without pickle. */
function unicodeArray(texts: readonly string[]): Buffer {
  const points = texts.map((text) => Array.from(text, (character) => character.codePointAt(0)!))
  const width = points.reduce((widest, row) => Math.max(widest, row.length), 1)
  const body = Buffer.alloc(texts.length * width * 4)
  points.forEach((row, i) => {
    row.forEach((point, j) => {
      body.writeUInt32LE(point, (i * width + j) * 4)
    })
  })
  return Buffer.concat([npyHeader(`<U${width}`, [texts.length]), body])
}

async function* matrix(source: ExportSource): AsyncIterable<Uint8Array> {
  yield npyHeader('<f4', [source.rows, source.dim])
  for await (const chunk of source.chunks()) yield bytesOf(chunk.values)
}

export const npz: Exporter = {
  id: 'npz',
  summary: 'numpy.load with x, y (class index, -1 without label), classes, ids, paths, splits, groups, views',
  extension: '.npz',
  async write(source, out) {
    const texts: Record<'ids' | 'paths' | 'splits' | 'groups', string[]> = {
      ids: [],
      paths: [],
      splits: [],
      groups: [],
    }
    const place = new Map(source.classes.map((name, i) => [name, i]))
    const y: bigint[] = []
    const views: bigint[] = []
    for await (const chunk of source.chunks()) {
      for (let i = 0; i < chunk.rows; i++) {
        texts.ids.push(chunk.ids[i]!)
        texts.paths.push(chunk.paths[i]!)
        texts.splits.push(chunk.splits[i] ?? '')
        texts.groups.push(chunk.groups[i] ?? '')
        y.push(BigInt(place.get(chunk.labels[i] ?? '') ?? -1))
        views.push(BigInt(chunk.views[i]!))
      }
    }
    const integers = (values: readonly bigint[]): Buffer =>
      Buffer.concat([npyHeader('<i8', [values.length]), Buffer.from(BigInt64Array.from(values).buffer)])
    // A fixed time keeps equal exports equal, byte for byte.
    const options = { mtime: new Date(1980, 0, 1), compress: false }
    await writeFileWith(out, async (file) => {
      const zip = new yazl.ZipFile()
      zip.addReadStream(Readable.from(matrix(source)), 'x.npy', options)
      zip.addBuffer(integers(y), 'y.npy', options)
      zip.addBuffer(integers(views), 'views.npy', options)
      zip.addBuffer(unicodeArray(source.classes), 'classes.npy', options)
      for (const [name, values] of Object.entries(texts)) zip.addBuffer(unicodeArray(values), `${name}.npy`, options)
      zip.end()
      for await (const part of zip.outputStream) await file.writeFile(part as Buffer)
    })
    return [out]
  },
}

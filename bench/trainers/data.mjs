// Generated embeddings for the trainer benchmarks, written once as raw little-endian files that every side reads.
//
// A row is the ReLU of a mixture of hidden causes, as activations of a late layer are: its class's point in a hidden
// space of 48 dimensions plus noise there (which makes columns correlated), a random linear map to D columns, noise of
// every column, a shift that leaves about two thirds of the entries at zero, the ReLU, and division by the row's
// length. Classes overlap.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRandom } from '../../dist/base/random.js'
import { gemm } from '../../dist/trainers/linalg/gemm.js'

/** Rows to train on, columns, classes, held-out rows. The first three are the sizes that ratios are quoted for. */
export const sizes = {
  small: { rows: 1000, cols: 4096, classes: 10, held: 1000 },
  medium: { rows: 5000, cols: 4096, classes: 20, held: 2000 },
  large: { rows: 20000, cols: 2048, classes: 100, held: 5000 },
}

const hidden = 48
const version = 1

/**
 * Distance between classes in the hidden space, against noise of 1: chosen so that linear classifiers are 75-90 %
 * right.
 */
const separation = { small: 0.42, medium: 0.46, large: 0.56 }

/** The folder of one data set; makes it first if need be. Same size and seed, same bytes. */
export async function generated(size, seed) {
  const folder = join(process.env.FC7_BENCH_DATA ?? join(tmpdir(), 'fc7-bench-trainers'), `${size}-${seed}-v${version}`)
  if (existsSync(join(folder, 'meta.json'))) return folder
  const { rows, cols, classes, held } = sizes[size]
  const root = createRandom(`${size}/${seed}`)
  const [points, map, noise, draw] = ['points', 'map', 'noise', 'draw'].map((name) => root.fork(name))
  const centres = Float32Array.from({ length: classes * hidden }, () => separation[size] * points.normal())
  const mixing = {
    data: Float32Array.from({ length: hidden * cols }, () => map.normal() / Math.sqrt(hidden)),
    rows: hidden,
    cols,
  }
  const shift = Float32Array.from({ length: cols }, () => 0.45 + 0.3 * map.normal())
  const temporary = `${folder}.${process.pid}`
  mkdirSync(temporary, { recursive: true })
  for (const [part, count] of [
    ['train', rows],
    ['held', held],
  ]) {
    const y = Int32Array.from({ length: count }, (_, i) => (i < classes ? i : draw.int(classes)))
    const latent = new Float32Array(count * hidden)
    for (let i = 0; i < count; i++)
      for (let j = 0; j < hidden; j++) latent[i * hidden + j] = centres[y[i] * hidden + j] + draw.normal()
    const { data } = await gemm({ data: latent, rows: count, cols: hidden }, mixing, { threads: 2 })
    for (let i = 0, at = 0; i < count; i++) {
      let square = 0
      const start = at
      for (let j = 0; j < cols; j++, at++) {
        data[at] = Math.max(0, data[at] + 0.5 * noise.normal() - shift[j])
        square += data[at] * data[at]
      }
      const factor = square > 0 ? 1 / Math.sqrt(square) : 0
      for (let j = start; j < at; j++) data[j] *= factor
    }
    writeFileSync(join(temporary, `${part}.x.f32`), data)
    writeFileSync(join(temporary, `${part}.y.i32`), y)
  }
  writeFileSync(join(temporary, 'meta.json'), JSON.stringify({ rows, cols, classes, held, seed }))
  try {
    renameSync(temporary, folder)
  } catch (error) {
    if (!existsSync(join(folder, 'meta.json'))) throw error
  }
  return folder
}

/** `{ train, held }`, each `{ x: { data, rows, cols }, y, classes }`. */
export function readSets(folder) {
  const { rows, cols, classes, held } = JSON.parse(readFileSync(join(folder, 'meta.json'), 'utf8'))
  const names = Array.from({ length: classes }, (_, c) => `class ${c}`)
  const read = (part, count) => {
    const x = readFileSync(join(folder, `${part}.x.f32`))
    const y = readFileSync(join(folder, `${part}.y.i32`))
    return {
      x: { data: new Float32Array(x.buffer, x.byteOffset, count * cols), rows: count, cols },
      y: new Int32Array(y.buffer, y.byteOffset, count),
      classes: names,
    }
  }
  return { train: read('train', rows), held: read('held', held) }
}

import { open, realpath } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, sep } from 'node:path'
import { Fc7Error, messageOf } from '../../base/errors.js'
import { halfToFloat } from '../../onnx/values.js'
import type { WeightEntry, WeightGroup } from './topology.js'

/** One weight as float32, in Keras' own order of axes. */
export interface Weight {
  readonly name: string
  readonly shape: readonly number[]
  readonly values: Float32Array
}

const elementBytes = { float32: 4, int32: 4, uint8: 1, bool: 1, float16: 2, uint16: 2 } as const

const countOf = (entry: WeightEntry): number => entry.shape.reduce((product, n) => product * n, 1)

function storedBytes(entry: WeightEntry): number {
  return countOf(entry) * elementBytes[entry.quantization?.dtype ?? entry.dtype]
}

function bad(sentence: string, cause?: unknown): Fc7Error {
  return new Fc7Error('TFJS_WEIGHTS', sentence, {
    hint: 'The model is incomplete or altered; fetch it again.',
    cause,
  })
}

async function shardPath(folder: string, shard: string): Promise<string> {
  const outside = bad(`The weight shard "${shard}" lies outside the model's folder.`)
  if (isAbsolute(shard) || shard.includes('\0') || shard.split(/[\\/]/).includes('..')) throw outside
  let path: string
  try {
    path = await realpath(join(folder, shard))
  } catch (error) {
    throw bad(`The weight shard ${shard} is missing.`, error)
  }
  const way = relative(folder, path)
  if (way === '' || way.startsWith(`..${sep}`) || isAbsolute(way)) throw outside
  return path
}

/**
 * All shards of a group, one after the other, in one buffer. Their sizes must add up exactly to what the manifest
 * promises.
 */
async function readGroup(group: WeightGroup, folder: string): Promise<Uint8Array> {
  const expected = group.weights.reduce((sum, entry) => sum + storedBytes(entry), 0)
  const files: { path: string; size: number }[] = []
  let total = 0
  for (const shard of group.paths) {
    const path = await shardPath(folder, shard)
    const handle = await open(path, 'r')
    const { size } = await handle.stat()
    await handle.close()
    files.push({ path, size })
    total += size
  }
  if (!Number.isSafeInteger(expected) || total !== expected) {
    throw bad(`The weight shards in ${folder} hold ${total} bytes, but model.json promises ${expected}.`)
  }
  const bytes = new Uint8Array(expected)
  let offset = 0
  for (const { path, size } of files) {
    const handle = await open(path, 'r')
    try {
      for (let done = 0; done < size; ) {
        const { bytesRead } = await handle.read(bytes, offset + done, size - done, done)
        if (bytesRead === 0) throw bad(`The weight shard ${path} ended while it was read.`)
        done += bytesRead
      }
    } finally {
      await handle.close()
    }
    offset += size
  }
  return bytes
}

/** The stored bytes of one weight as float32: a view where they are plain and aligned. */
function decode(entry: WeightEntry, bytes: Uint8Array): Float32Array {
  const { quantization } = entry
  const stored = quantization?.dtype ?? entry.dtype
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const count = countOf(entry)
  const at: Record<typeof stored, (i: number) => number> = {
    float32: (i) => view.getFloat32(4 * i, true),
    int32: (i) => view.getInt32(4 * i, true),
    uint8: (i) => view.getUint8(i),
    bool: (i) => view.getUint8(i),
    float16: (i) => halfToFloat(view.getUint16(2 * i, true)),
    uint16: (i) => view.getUint16(2 * i, true),
  }
  if (stored === 'float32' && bytes.byteOffset % 4 === 0) {
    return new Float32Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, count)
  }
  const read = at[stored]
  const plain = !quantization || quantization.dtype === 'float16'
  const { scale = 1, min = 0 } = quantization ?? {}
  // Affine quantisation: value = stored × scale + min, in double precision, then rounded to float32 (or to whole
  // numbers).
  const value = plain ? read : (i: number): number => read(i) * scale + min
  const whole = entry.dtype === 'int32' && !plain
  return Float32Array.from({ length: count }, (_, i) => (whole ? Math.round(value(i)) : value(i)))
}

/**
 * Reads all weights that a manifest lists. Shards must lie in the model's folder, whatever links stand in between, and
 * their sizes must be exact. uint8, uint16 and float16 quantisation is undone.
 *
 * @throws Fc7Error TFJS_WEIGHTS
 */
export async function readTfjsWeights(
  manifest: readonly WeightGroup[],
  modelJsonPath: string,
): Promise<Map<string, Weight>> {
  const weights = new Map<string, Weight>()
  let folder: string
  try {
    folder = await realpath(dirname(modelJsonPath))
  } catch (error) {
    throw bad(`The folder of ${modelJsonPath} cannot be read: ${messageOf(error)}.`, error)
  }
  for (const group of manifest) {
    const bytes = await readGroup(group, folder)
    let offset = 0
    for (const entry of group.weights) {
      const name = entry.name.replace(/:0$/, '')
      if (weights.has(name)) throw bad(`The weight ${name} is listed twice.`)
      const size = storedBytes(entry)
      const values = decode(entry, bytes.subarray(offset, offset + size))
      weights.set(name, { name, shape: entry.shape, values })
      offset += size
    }
  }
  return weights
}

import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { expect } from '@jest/globals'
import { openStore, readTable } from '../../src/embeddings/store/store.js'
import { fc7 } from '../cli/run.js'

export const shared = resolve(process.env.FC7_SHARED ?? '../shared')
export const googlenet = join(shared, 'models', 'googlenet-bvlc.onnx')
export const datasets = join(shared, 'datasets')
export const fixtures = new URL('../fixtures/embeddings/', import.meta.url)

/** Extracts through the built command and returns the rows by path. */
export async function extractRows(
  source: string,
  recipe: string,
  out: string,
  cache: string,
  more: readonly string[] = [],
): Promise<{
  readonly ids: readonly string[]
  readonly paths: readonly string[]
  readonly row: (i: number) => Float32Array
}> {
  const args = ['extract', source, '--model', googlenet, '--recipe', recipe, '--out', out, '--json', ...more]
  const made = await fc7(args, { env: { FC7_CACHE: cache } })
  expect([made.code, made.code === 0 ? '' : made.stderr]).toEqual([0, ''])
  const table = await readTable(await openStore(out))
  return { ids: table.ids, paths: table.paths, row: (i) => table.x.subarray(i * table.dim, (i + 1) * table.dim) }
}

export function cosine(a: Float32Array, b: Float32Array): number {
  let [ab, aa, bb] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    ab += a[i]! * b[i]!
    aa += a[i]! * a[i]!
    bb += b[i]! * b[i]!
  }
  return ab / Math.sqrt(aa * bb)
}

/** A CSV list of images by absolute path. */
export const listOf = (paths: readonly string[]): string =>
  ['path', ...paths.map((path) => `"${join(datasets, path).replaceAll('"', '""')}"`)].join('\n')

export const readJsonFixture = async (name: string): Promise<unknown> =>
  JSON.parse(await readFile(new URL(name, fixtures), 'utf8'))

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { cosine, datasets, extractRows, fixtures, googlenet } from './reference.js'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-parity-'))
})
afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

const python = process.env.FC7_PYTHON ?? 'python3'
const script = fileURLToPath(new URL('googlenet_reference.py', fixtures))
const dim = 1024

/**
 * A race once mixed rows of neighbouring batches and nothing but a whole store showed it: every row counts, in several
 * runs.
 */
describe('every row of a whole store, side by side with Pillow and Python onnxruntime', () => {
  it.each([
    ['hymenoptera', 'keras-caffe', ['--batch-size', '8'], 0.999999],
    ['brain-mri', 'caffe', ['--batch-size', '3', '--threads', '4', '--decode-threads', '2'], 0.99999],
  ] as const)(
    '%s, %s',
    async (name, recipe, options, minCosine) => {
      const { paths, row } = await extractRows(
        join(datasets, name),
        recipe,
        join(root, name),
        join(root, 'cache'),
        options,
      )
      expect(paths.length).toBeGreaterThan(200)
      const failures = (await readFile(join(root, name, 'failures.jsonl'), 'utf8')).trim().split('\n').filter(Boolean)
      const failed = failures.map((line) => JSON.parse(line).path as string)
      const list = [...paths, ...failed]
      await writeFile(join(root, 'list.json'), JSON.stringify(list.map((path) => join(name, path))))
      await promisify(execFile)(python, [
        script,
        datasets,
        googlenet,
        recipe,
        join(root, 'list.json'),
        join(root, 'out.f32'),
      ])
      const bytes = await readFile(join(root, 'out.f32'))
      const reference = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
      expect(reference.length).toBe(list.length * dim)
      const cosines = paths.map((_, i) => cosine(row(i), reference.subarray(i * dim, (i + 1) * dim)))
      // What Pillow cannot read has NaN, which is not below anything: count it apart.
      const unreadable = list.filter((_, i) => Number.isNaN(reference[i * dim]))
      console.log(
        `${name} ${recipe}: ${paths.length} rows, smallest cosine ${Math.min(...cosines)}, failures ${failed.join(', ') || 'none'}`,
      )
      expect(unreadable).toEqual(failed)
      expect(cosines.filter((value) => !(value >= minCosine))).toEqual([])
    },
    300_000,
  )
})

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { openStore, readTable } from '../../src/embeddings/store/store.js'
import { fc7 } from '../cli/run.js'

const shared = resolve(process.env.FC7_SHARED ?? '../shared')
const recorded = JSON.parse(
  await readFile(new URL('../fixtures/backbones/predictions.json', import.meta.url), 'utf8'),
) as {
  images: string[]
  networks: { file: string; recipe: string; output: string; rows: { top5: number[]; p: number[] }[] }[]
}

let folder: string
let list: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fc7-predictions-'))
  list = join(folder, 'images.csv')
  const rows = recorded.images.map((path) => `${join(shared, 'datasets', path)},x`)
  await writeFile(list, `path,label\n${rows.join('\n')}\n`)
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** Two probabilities this close may change places by rounding alone. */
const tie = 1e-5

describe.each(recorded.networks)('$file on the written list', ({ file, recipe, output, rows }) => {
  it('predicts what Pillow and Python’s onnxruntime predicted', async () => {
    const out = join(folder, `${file}.fc7`)
    const args = ['extract', list, '--allow-outside', '--model', join(shared, 'models', file), '--recipe', recipe]
    const extracted = await fc7([...args, '--layer', output, '--pool', 'none', '--out', out, '--json'], {
      env: { FC7_CACHE: join(folder, 'cache') },
    })
    expect(extracted.code === 0 ? '' : extracted.stderr).toBe('')
    const table = await readTable(await openStore(out))
    expect(table.rows).toBe(rows.length)
    let worst = 0
    rows.forEach(({ top5, p }, row) => {
      const scores = table.x.subarray(row * table.dim, (row + 1) * table.dim)
      const order = Array.from(scores, (_, i) => i).sort((a, b) => scores[b]! - scores[a]!)
      top5.forEach((index, rank) => {
        worst = Math.max(worst, Math.abs(scores[index]! - p[rank]!))
        const apart = Math.min(
          rank === 0 ? 1 : p[rank - 1]! - p[rank]!,
          rank === 4 ? p[4]! - scores[order[5]!]! : p[rank]! - p[rank + 1]!,
        )
        if (apart > tie) expect([row, rank, order[rank]]).toEqual([row, rank, index])
      })
    })
    expect(worst).toBeLessThan(tie)
  })
})

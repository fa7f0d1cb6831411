import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { readWeights } from '../../src/classifiers/weights-file.js'
import type { EmbeddingTable } from '../../src/embeddings/store/table.js'

const ids = ['a', 'b', 'b#v1', 'c']
const table: EmbeddingTable = {
  layer: 'fc7',
  rows: 4,
  dim: 1,
  x: new Float32Array(4),
  ids,
  paths: ['x/a.png', 'x/b.png', 'x/b.png', '__proto__'],
  labels: ['x', 'x', 'x', 'y'],
  splits: [null, null, null, null],
  groups: [null, null, null, null],
  views: Uint16Array.of(0, 0, 1, 0),
  classes: ['x', 'y'],
}

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-weights-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

async function read(text: string, rows = [0, 1, 2, 3]) {
  const path = join(root, 'weights.csv')
  await writeFile(path, text)
  return readWeights(path, table, rows)
}

describe('a file of weights', () => {
  it('is read by id or by path, in any order; a view weighs what its image does', async () => {
    const { values, sha256 } = await read('\uFEFFweight,id\r\n0.5,c\r\n2e1,b\r\n1,a\r\n')
    expect([...values]).toEqual([1, 20, 20, 0.5])
    expect(sha256).toMatch(/^[0-9a-f]{64}$/)
    expect([...(await read('path,weight\nx/b.png,3\n__proto__,4\nelsewhere,5\n', [3, 2])).values]).toEqual([4, 3])
  })

  it.each([
    ['a weight of nothing', 'id,weight\na,1\nb,0\n', 'row 2 (b) has the weight "0"'],
    ['a negative weight', 'id,weight\na,-1\n', 'row 1 (a) has the weight "-1"'],
    ['no number', 'id,weight\na,much\n', 'row 1 (a) has the weight "much"'],
    ['an infinity', 'id,weight\na,Infinity\n', 'row 1 (a) has the weight "Infinity"'],
    ['an empty cell', 'id,weight\na,\n', 'row 1 (a) has the weight ""'],
    ['a short line', 'id,weight\na\n', 'row 1 (a) has the weight ""'],
    ['a row twice', 'id,weight\na,1\na,2\n', 'row 2 (a) is named a second time'],
    ['an image left out', 'id,weight\na,1\nb,1\n', 'the training image c has no weight'],
    ['other columns', 'name,value\na,1\n', 'it has the columns name, value'],
    ['nothing', '', 'it has the columns of an empty file'],
  ])('is refused with %s', async (_name, text, says) => {
    await expect(read(text)).rejects.toMatchObject({ code: 'WEIGHTS_BAD', message: expect.stringContaining(says) })
  })

  it('is refused where there is none', async () => {
    await expect(readWeights(join(root, 'nowhere.csv'), table, [0])).rejects.toMatchObject({ code: 'WEIGHTS_BAD' })
  })
})

import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { frechetDistance, inSourceAxes, kernelDistance, meanEntropy } from '../../src/advisor/evidence/distance.js'
import { encodeFloats, sourceStatistics } from '../../src/advisor/evidence/source-statistics.js'

const recorded = JSON.parse(
  readFileSync(new URL('../fixtures/advisor/distance.json', import.meta.url), 'utf8'),
) as Record<'variances' | 'source' | 'rows', number[]> & { readonly frechet: number; readonly kernel: number }
const cols = recorded.variances.length
const matrix = (values: readonly number[]) => ({ data: Float32Array.from(values), rows: values.length / cols, cols })

describe('distance to the source', () => {
  it('is what scipy and scikit-learn compute', () => {
    const rows = matrix(recorded.rows)
    expect(frechetDistance(rows, Float64Array.from(recorded.variances))).toBeCloseTo(recorded.frechet, 4)
    expect(kernelDistance(matrix(recorded.source), rows)).toBeCloseTo(recorded.kernel, 4)
  })

  it('entropy is 0 for a sure classifier, 1 for one that knows nothing, and the same from logits', () => {
    const of = (...data: number[]) => meanEntropy({ data: Float32Array.from(data), rows: 1, cols: data.length })
    expect(of(1, 0, 0, 0)).toBe(0)
    expect(of(0.25, 0.25, 0.25, 0.25)).toBeCloseTo(1, 6)
    const logits = [2, -1, 0.5]
    const total = logits.reduce((sum, value) => sum + Math.exp(value), 0)
    expect(of(...logits)).toBeCloseTo(of(...logits.map((value) => Math.exp(value) / total)), 5)
  })
})

describe('a file of source statistics', () => {
  const file = {
    format: 1,
    backbone: 'net',
    sha256: 'a'.repeat(64),
    layer: 'fc7',
    recipe: 'caffe',
    about: 'made here',
    dim: 3,
    components: 2,
    rows: 2,
    mean: encodeFloats([1, 2, 3]),
    axes: encodeFloats([1, 0, 0, 0, 1, 0]),
    variances: encodeFloats([4, 1]),
    sample: encodeFloats([1, 0, 0, 1]),
  }
  const wanted = { backbone: 'net', sha256: file.sha256, layer: 'fc7', recipe: 'caffe', dim: 3 }

  it('is used only for the weights, layer and recipe it was made with, and refused when broken', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fc7-source-'))
    try {
      expect(await sourceStatistics(wanted, folder)).toBeUndefined()
      await writeFile(join(folder, 'net.json'), JSON.stringify(file))
      const found = await sourceStatistics(wanted, folder)
      const moved = await inSourceAxes({ data: Float32Array.of(2, 4, 9), rows: 1, cols: 3 }, found!.statistics)
      expect([...moved.data]).toEqual([1, 2])
      for (const other of [
        { layer: 'fc6' },
        { recipe: 'torchvision' },
        { sha256: 'b'.repeat(64) },
        { backbone: '../net' },
      ])
        expect(await sourceStatistics({ ...wanted, ...other }, folder)).toBeUndefined()
      await writeFile(join(folder, 'net.json'), JSON.stringify({ ...file, mean: encodeFloats([1]) }))
      await expect(sourceStatistics(wanted, folder)).rejects.toMatchObject({ code: 'SOURCE_STATISTICS_BROKEN' })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

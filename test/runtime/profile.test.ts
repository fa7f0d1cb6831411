import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { profileModel } from '../../src/embeddings/extract/profile-model.js'
import { encodeModel, GraphBuilder } from '../../src/onnx/build.js'
import { timeByOp } from '../../src/runtime/profile.js'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-profile-test-'))
})
afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

describe('profileModel', () => {
  it('times every operator of the extraction graph, and the graph without rewrites beside it', async () => {
    const g = new GraphBuilder('lrn')
    g.input('data', 'float32', [1, 3, 16, 16])
    g.initializer(
      'w',
      'float32',
      [8, 3, 3, 3],
      Float32Array.from({ length: 216 }, (_, i) => Math.sin(i)),
    )
    g.initializer(
      'fc',
      'float32',
      [8, 4],
      Float32Array.from({ length: 32 }, (_, i) => Math.cos(i)),
    )
    const conv = g.add('Conv', ['data', 'w'])
    const lrn = g.add('LRN', [conv], { size: 5 })
    const pooled = g.add('GlobalAveragePool', [lrn])
    g.add('Gemm', [g.add('Flatten', [pooled]), 'fc'], {}, { outputs: ['y'] })
    g.output('y', 'float32', [1, 4])
    const model = join(root, 'lrn.onnx')
    await writeFile(model, encodeModel(g.model(13)))
    const options = { model, recipe: 'torchvision', provider: 'cpu', batch: 2, threads: 1, runs: 3, cacheFolder: root }
    const profile = await profileModel(options)
    expect(profile.rewrites).toEqual(['lrn-as-conv'])
    expect(profile.ops.map(({ op }) => op)).not.toContain('LRN')
    expect(profile.ops.find(({ op }) => op === 'Conv')?.count).toBe(2)
    expect(profile.nodes.some(({ outputShape }) => outputShape.join() === '2,8,14,14')).toBe(true)
    expect(profile.withoutRewritesMilliseconds).toBeGreaterThan(0)
    const plain = await profileModel({ ...options, rewrite: false })
    expect([plain.rewrites, plain.withoutRewritesMilliseconds]).toEqual([[], null])
    expect(plain.ops.map(({ op }) => op)).toContain('LRN')
  })

  it('sums time by operator, the largest first', () => {
    const node = (op: string, milliseconds: number) => ({ name: op, op, milliseconds, outputShape: [] })
    expect(timeByOp([node('Relu', 1), node('Conv', 5), node('Conv', 6), node('Relu', 2)])).toEqual([
      { op: 'Conv', count: 2, milliseconds: 11 },
      { op: 'Relu', count: 2, milliseconds: 3 },
    ])
  })
})

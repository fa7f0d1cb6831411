import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { fc7 } from './run.js'

const shared = resolve(process.env.FC7_SHARED ?? '../shared')
let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-shared-'))
})
afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

describe('real weights on real images', () => {
  it('hymenoptera, train → val, GoogLeNet and a linear SVM: at least 0.94', async () => {
    const env = { FC7_CACHE: join(root, 'cache') }
    const extracted = await fc7(
      [
        'extract',
        join(shared, 'datasets', 'hymenoptera'),
        '--model',
        join(shared, 'models', 'googlenet-bvlc.onnx'),
        '--recipe',
        'caffe',
        '--out',
        join(root, 'store'),
        '--json',
      ],
      { env },
    )
    expect(extracted.code).toBe(0)
    expect(JSON.parse(extracted.stdout).plan).toMatch(/^[0-9a-f]{64}$/)
    expect((await fc7(['verify', join(root, 'store')], { env })).code).toBe(0)
    const compared = await fc7(
      [
        'compare',
        join(root, 'store'),
        '--holdout',
        'val',
        '--trainers',
        'linear-svm,logistic',
        '--out',
        join(root, 'evaluation'),
        '--json',
      ],
      { env },
    )
    expect(compared.code).toBe(0)
    const { results } = JSON.parse(compared.stdout)
    const svm = results.find((result: { trainer: string }) => result.trainer === 'linear-svm')
    expect(svm.metrics.accuracy.value).toBeGreaterThanOrEqual(0.94)
  }, 300_000)
})

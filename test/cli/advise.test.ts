import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { adviceSchema } from '../../src/advisor/advice.js'
import { tinyModel, writeTinyPictures } from '../support/tiny.js'
import { fc7 } from './run.js'

let root: string
let env: Record<string, string>

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-advise-'))
  env = { FC7_CACHE: join(root, 'cache') }
  await writeFile(join(root, 'tiny.onnx'), tinyModel())
  await writeTinyPictures(join(root, 'photos'), { train: 12, test: 4 })
})
afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

describe('fc7 advise', () => {
  const model = (): string[] => ['--model', join(root, 'tiny.onnx'), '--recipe', 'torchvision']

  it('goes from pictures to a verdict with the command to run next, sweeping the layers in one pass', async () => {
    const out = join(root, 'advice')
    const outcome = await fc7(['advise', join(root, 'photos'), ...model(), '--out', out, '--json'], { env })
    expect([outcome.code, outcome.stderr]).toEqual([0, expect.stringContaining('holds pictures')])
    const { advice } = JSON.parse(outcome.stdout)
    expect(adviceSchema.parse(advice)).toEqual(advice)
    expect(advice.layers.map(({ name }: { name: string }) => name)).toEqual(['relu1', 'relu2', 'relu7'])
    expect(advice.data).toMatchObject({ pictures: 36, classes: 3 })
    expect(advice.source.entropy).toBeGreaterThan(0)
    expect(advice.verdict.command).toMatch(/^fc7 (compare|finetune) /)
    expect((await readdir(out)).sort()).toEqual(['advice.html', 'advice.json'])
    expect(JSON.parse(await readFile(join(out, 'advice.json'), 'utf8'))).toEqual(advice)
    expect(await readdir(join(root, 'cache', 'stores'))).toHaveLength(1)
  }, 60_000)

  it('--dry-run says what would be measured', async () => {
    const outcome = await fc7(['advise', join(root, 'photos'), ...model(), '--dry-run', '--json'], { env })
    expect(JSON.parse(outcome.stdout)).toMatchObject({ pictures: 36, folds: 5, fits: 35 })
  }, 60_000)
})

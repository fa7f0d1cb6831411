import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { adviceSchema } from '../../../src/advisor/rules/advice-file.js'
import { createRandom } from '../../../src/base/random.js'
import { tinyModel, writeTinyImages } from '../../support/tiny.js'
import { fc7, fc7Warm } from '../run.js'

let root: string
let env: Record<string, string>

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-advise-'))
  env = { FC7_CACHE: join(root, 'cache') }
  await writeFile(join(root, 'tiny.onnx'), tinyModel())
  await writeTinyImages(join(root, 'photos'), { train: 12, test: 4 })
})
afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

describe('fc7 advise', () => {
  const model = (): string[] => ['--model', join(root, 'tiny.onnx'), '--recipe', 'torchvision']

  it('goes from images to a verdict with the command to run next, sweeping the layers in one pass; that command runs', async () => {
    const out = join(root, 'advice')
    const outcome = await fc7(['advise', join(root, 'photos'), ...model(), '--out', out, '--json'], { env })
    expect([outcome.code, outcome.stderr]).toEqual([0, expect.stringContaining('holds images')])
    const { advice } = JSON.parse(outcome.stdout)
    expect(adviceSchema.parse(advice)).toEqual(advice)
    expect(advice.layers.map(({ name }: { name: string }) => name)).toEqual(['relu1', 'relu2', 'relu7'])
    expect(advice.data).toMatchObject({ images: 36, classes: 3 })
    expect(advice.source.entropy).toBeGreaterThan(0)
    expect(advice.verdict.command).toMatch(/^fc7 (compare|finetune) /)
    expect((await readdir(out)).sort()).toEqual(['advice.html', 'advice.json'])
    expect(JSON.parse(await readFile(join(out, 'advice.json'), 'utf8'))).toEqual(advice)
    expect(await readdir(join(root, 'cache', 'stores'))).toHaveLength(1)
    // The command to run next is a command that runs, at the layer that the advice names.
    const words = (advice.verdict.command as string).split(' ').slice(1)
    const next = await fc7Warm([...words.slice(0, -1), join(root, 'next'), '--json', '--quiet'], { env })
    expect([next.code, next.stderr]).toEqual([0, ''])
    if (advice.verdict.strategy === 'embeddings')
      expect(JSON.parse(next.stdout).tables.map((table: { layer: string }) => table.layer)).toEqual([
        advice.verdict.layer,
      ])
  }, 60_000)

  it('one class, three images, no labels: an error that says what to do', async () => {
    const sorted = join(root, 'photos', 'train', 'red')
    const [first, second, third] = (await readdir(sorted)).map((name) => join(sorted, name))
    for (const [to, from] of [
      ['three/a/1.png', first],
      ['three/b/2.png', second],
      ['three/b/3.png', third],
    ] as const) {
      await mkdir(dirname(join(root, to)), { recursive: true })
      await copyFile(from!, join(root, to))
    }
    await cp(sorted, join(root, 'one', 'red'), { recursive: true })
    await cp(sorted, join(root, 'none'), { recursive: true })
    for (const [source, said] of [
      ['one', /All 12 labelled images are "red"/],
      ['three', /3 labelled images, 1 class with two or more: too few.*\n.*at least 10 images/],
      ['none', /No image has a label.*\n.*one folder for each class/],
    ] as const) {
      const outcome = await fc7Warm(['advise', join(root, source), ...model(), '--quiet'], { env })
      expect([source, outcome.code, outcome.stdout]).toEqual([source, 1, ''])
      expect(outcome.stderr).toMatch(said)
    }
  }, 60_000)

  it('five thousand classes of noise: measured on a sample, and said to hold nothing the probe could learn', async () => {
    const random = createRandom('noise')
    const rows = Array.from({ length: 10_000 }, (_, i) =>
      [...Array.from({ length: 4 }, () => random.normal().toFixed(3)), `c${i >> 1}`].join(','),
    )
    await writeFile(join(root, 'noise.csv'), `x0,x1,x2,x3,label\n${rows.join('\n')}\n`)
    const store = join(root, 'noise.fc7')
    expect((await fc7Warm(['import', join(root, 'noise.csv'), '--out', store], { env })).stderr).toBe('')
    const { advice } = JSON.parse((await fc7Warm(['advise', store, '--json'], { env })).stdout)
    expect(advice.data).toMatchObject({ classes: 5000, usedClasses: 100 })
    expect(advice.notes.join(' ')).toContain('Measured on 100 of 5000 classes')
    expect(advice.verdict.evidence.map(({ rule }: { rule: string }) => rule)).toContain('no-signal')
    expect(advice.verdict.confidence).toBe('low')
  }, 60_000)

  it('--dry-run says what would be measured', async () => {
    const outcome = await fc7Warm(['advise', join(root, 'photos'), ...model(), '--dry-run', '--json'], { env })
    expect(JSON.parse(outcome.stdout)).toMatchObject({ images: 36, folds: 5, repeats: 5, fits: 95 })
  }, 60_000)
})

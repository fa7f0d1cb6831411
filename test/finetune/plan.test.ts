import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../src/base/random.js'
import { balancedClassWeights } from '../../src/finetune/plan/graphs.js'
import { buildHeaded } from '../../src/finetune/plan/headed.js'
import { lrAt, lrFactors } from '../../src/finetune/plan/learning-rate.js'
import { augmentationOf, parseOptions } from '../../src/finetune/plan/options.js'
import { type PlanInput, planFinetune } from '../../src/finetune/plan/plan.js'
import { assignRoles, classesOf, type Labelled } from '../../src/finetune/plan/splits.js'
import { defaultAugmentation } from '../../src/images/augment/augment-plan.js'
import { namedRecipe } from '../../src/images/recipe/recipe.js'
import { decodeModel } from '../../src/onnx/read.js'
import { tinyModel, tinySide } from '../support/tiny.js'

const recipe = namedRecipe('torchvision', { width: tinySide, height: tinySide })
const network = buildHeaded(decodeModel(tinyModel()), { recipe, outputs: 3, random: createRandom(0) })

function items(splits: Readonly<Record<string, number>>, labels = ['a', 'b', 'c']): Labelled[] {
  return Object.entries(splits).flatMap(([split, count]) =>
    labels.flatMap((label) =>
      Array.from({ length: count }, (_, i) => ({
        id: `${split}/${label}/${i}`,
        label,
        ...(split === 'none' ? {} : { split }),
      })),
    ),
  )
}

function input(
  options: Record<string, unknown>,
  splits: Readonly<Record<string, number>> = { train: 20, test: 5 },
): PlanInput {
  const all = items(splits)
  const roles = assignRoles(all, 0)
  return {
    network,
    card: {},
    backbone: { id: 'tiny', sha256: '0', recipe: 'torchvision' },
    dataset: { name: 'made', fingerprint: '0' },
    classes: classesOf(all, roles, undefined),
    roles,
    options: parseOptions(options),
    memoryBytes: 8 * 2 ** 30,
  }
}

describe('who trains, who chooses, who is reported', () => {
  it.each([
    [{ train: 20, val: 4, test: 6 }, [60, 12, 18], ['the val split', 'the test split']],
    [{ train: 20, val: 4 }, [51, 9, 12], ['a seeded 15 % of train', 'the val split']],
    [{ train: 20, test: 6 }, [51, 9, 18], ['a seeded 15 % of train', 'the test split']],
    [{ none: 20 }, [42, 6, 12], ['a seeded 15 % of train', 'a seeded fifth of the images']],
  ])('%j', (splits, sizes, sources) => {
    const all = items(splits)
    const roles = assignRoles(all, 3)
    expect([roles.train.length, roles.select.length, roles.report.length]).toEqual(sizes)
    expect([roles.sources.select, roles.sources.report]).toEqual(sources)
    const everything = [...roles.train, ...roles.select, ...roles.report]
    expect([...everything].sort((a, b) => a - b)).toEqual(all.map((_, i) => i))
    expect(assignRoles(all, 3)).toEqual(roles)
  })

  it('keeps groups on one side', () => {
    const all = items({ none: 24 }).map((item, i) => ({ ...item, group: `g${Math.floor(i / 4)}` }))
    const roles = assignRoles(all, 0)
    const sides = [roles.train, roles.select, roles.report].map((side) => new Set(side.map((i) => all[i]!.group)))
    expect(sides.reduce((sum, side) => sum + side.size, 0)).toBe(new Set(all.map(({ group }) => group)).size)
  })

  it('refuses an image without label, a label without images to train on, one label, a wrong --positive', () => {
    const all = items({ train: 4, test: 2 })
    const roles = assignRoles(all, 0)
    expect(() => assignRoles([...all, { id: 'x', split: 'train' }], 0)).toThrow(
      expect.objectContaining({ code: 'FINETUNE_LABEL' }),
    )
    const unseen = [...all, { id: 'y', label: 'd', split: 'test' }]
    expect(() => classesOf(unseen, assignRoles(unseen, 0), undefined)).toThrow(/label d has no image/)
    expect(() => classesOf(all, roles, 'a')).toThrow(expect.objectContaining({ code: 'FINETUNE_CLASSES' }))
    const two = items({ train: 4, test: 2 }, ['a', 'b'])
    expect(classesOf(two, assignRoles(two, 0), 'a')).toEqual(['b', 'a'])
    const one = items({ train: 4, test: 2 }, ['a'])
    expect(() => classesOf(one, assignRoles(one, 0), undefined)).toThrow(/same label/)
    // One goes to the report, one trains; none is left to choose the epoch.
    expect(() => assignRoles(items({ none: 2 }), 0)).toThrow(expect.objectContaining({ code: 'FINETUNE_SPLIT' }))
    expect(assignRoles(items({ none: 3 }), 0).select).toHaveLength(3)
  })
})

describe('the plan', () => {
  it('head: only the new layer trains, on cached features', () => {
    const [phase] = planFinetune(input({ strategy: 'head', batchSize: 8 })).phases
    expect(phase).toMatchObject({
      boundary: 'relu7',
      trainable: ['fc7/head/weight', 'fc7/head/bias'],
      trainedValues: 75,
      frozenValues: 8 * 27 + 16 * 72 + 24 * 1024,
      stepsPerEpoch: 7,
      frozenLayers: 'cached',
      views: 4,
      cacheBytes: (51 * 4 + 9) * 24 * 4,
      frozenPasses: 51 * 4 + 9,
    })
  })

  it('last: freezes below the last dense layers, or until the layer that is named', () => {
    expect(planFinetune(input({ strategy: 'last' })).phases[0]).toMatchObject({ boundary: 'flat' })
    const [phase] = planFinetune(input({ strategy: 'last', freezeUntil: 'relu1', augment: false })).phases
    expect(phase).toMatchObject({ boundary: 'relu1', views: 1, frozenLayers: 'cached' })
    expect(phase!.trainable).toEqual(['conv2.w', 'fc7.w', 'fc7/head/weight', 'fc7/head/bias'])
    expect(planFinetune(input({ strategy: 'last', cache: false })).phases[0]).toMatchObject({
      frozenLayers: 'computed each epoch',
      frozenPasses: 60 * 15,
    })
    expect(planFinetune(input({ strategy: 'last', cacheBudgetBytes: 100 })).phases[0]!.frozenLayers).toBe(
      'computed each epoch',
    )
  })

  it('all, scratch and lp-ft', () => {
    const names = (strategy: string) =>
      planFinetune(input({ strategy })).phases.map(({ name, frozenLayers, batchNorm, trainable }) => [
        name,
        frozenLayers,
        batchNorm,
        trainable.length,
      ])
    expect(names('all')).toEqual([['all', 'none', 'frozen', 5]])
    expect(names('scratch')).toEqual([['scratch', 'none', 'train', 5]])
    expect(names('lp-ft')).toEqual([
      ['head', 'cached', 'frozen', 2],
      ['all', 'none', 'frozen', 5],
    ])
  })

  it('scratch takes the published hyper-parameters of the card', () => {
    const training = {
      optimizer: 'SGD',
      momentum: 0.8,
      learningRate: 0.1,
      weightDecay: 5e-4,
      epochs: 89.3,
      schedule: 'step',
      source: 'paper',
    }
    const plan = planFinetune({ ...input({ strategy: 'scratch' }), card: { training } })
    expect(plan.optimizer).toEqual({ kind: 'sgd', momentum: 0.8, weightDecay: 5e-4, clipNorm: null })
    expect(plan.phases[0]).toMatchObject({ lr: 0.1, epochs: 90 })
    const asked = planFinetune({ ...input({ strategy: 'scratch', epochs: 7, lr: 0.2 }), card: { training } })
    expect(asked.phases[0]).toMatchObject({ lr: 0.2, epochs: 7 })
  })

  it.each([
    [{ batchSize: 52 }, 'FINETUNE_BATCH', /larger than the 51 images/],
    [{ strategy: 'last', freezeUntil: 'nowhere' }, 'FINETUNE_LAYER', /no layer "nowhere"/],
    [{ strategy: 'all', freezeUntil: 'relu1' }, 'USAGE_FINETUNE', /belongs to --strategy last/],
    [{ strategy: 'all', memoryBytes: 1e8 }, 'FINETUNE_MEMORY', /--memory-limit allows/],
    [{ batchSize: 10, gradAccumSteps: 7 }, 'FINETUNE_BATCH', /7 batches of 10; the 51 images to train on make 6/],
    [{ lr: -1 }, 'USAGE_FINETUNE', /--lr/],
    [{ headLrFactor: 0 }, 'USAGE_FINETUNE', /--head-lr-factor/],
  ])('refuses %j before anything runs', (options, code, message) => {
    const plan = () => planFinetune(input(options))
    expect(plan).toThrow(expect.objectContaining({ code }))
    expect(plan).toThrow(message)
  })
})

it('what one machine has memory for, a smaller one refuses', () => {
  const plan = (memoryBytes: number) => () => planFinetune({ ...input({ strategy: 'all' }), memoryBytes })
  const needed = plan(2 ** 33)().phases[0]!.memoryBytes
  expect(plan(needed)).toThrow(/this machine has/)
  expect(plan(1.2 * needed)).not.toThrow()
})

describe('learning rates', () => {
  const phase = { lr: 1, epochs: 10, stepsPerEpoch: 10 }
  const at = (options: Record<string, unknown>, step: number) => lrAt(phase, parseOptions(options), step)

  it('rise over the first steps and fall along a cosine or by steps', () => {
    expect([0, 1, 9].map((step) => at({ warmup: 0.1 }, step))).toEqual([0.1, 0.2, 1])
    expect(at({ warmup: 0.1 }, 55)).toBeCloseTo(0.5, 10)
    expect(at({ warmup: 0 }, 99)).toBeLessThan(0.001)
    expect([0, 59, 60, 84, 85].map((step) => at({ warmup: 0, schedule: 'step' }, step))).toEqual([1, 1, 0.1, 0.1, 0.01])
    expect(at({ warmup: 0, schedule: 'constant' }, 99)).toBe(1)
  })

  it('are the head’s own for the new layer and smaller towards the pixels', () => {
    const [all] = planFinetune(input({ strategy: 'all' })).phases
    expect([...lrFactors(network, all!, 0.01)]).toEqual([
      ['conv1.w', 0.01],
      ['conv2.w', expect.closeTo(0.01 ** (2 / 3), 10)],
      ['fc7.w', expect.closeTo(0.01 ** (1 / 3), 10)],
      ['fc7/head/weight', 10],
      ['fc7/head/bias', 10],
    ])
  })
})

it('balanced class weights count each class alike', () => {
  expect(balancedClassWeights([10, 30])).toEqual([2, 2 / 3])
})

it('turns, grey views and erasing are off unless asked for, and checked', () => {
  expect(augmentationOf(parseOptions({}))).toEqual(defaultAugmentation)
  expect(augmentationOf(parseOptions({ rotation: 15, grayscale: 0.1, randomErasing: 1 }))).toEqual({
    ...defaultAugmentation,
    rotationDegrees: 15,
    grayscale: 0.1,
    randomErasing: 1,
  })
  expect(() => parseOptions({ grayscale: 1.5 })).toThrow(/--grayscale/)
})

it('a frozen part that is not cached takes no more rows at once than its memory allows', () => {
  const rows = (cache: boolean) =>
    planFinetune(input({ strategy: 'last', freezeUntil: 'relu1', augment: false, cache, batchSize: 4 })).phases[0]!
  const widest = Math.max(
    ...network.boundaries.filter(({ name }) => name !== 'logits').map(({ row }) => row.reduce((a, b) => a * b, 1)),
  )
  expect(rows(false).rowsPerRun).toBeGreaterThanOrEqual(Math.floor((512 << 20) / (12 * widest)))
  expect(rows(false).memoryBytes).toBeGreaterThan(rows(true).memoryBytes)
})

it('the gradient’s norm is limited where pretrained weights train', () => {
  const clip = (options: Record<string, unknown>) => planFinetune(input(options)).optimizer.clipNorm
  expect([
    clip({ strategy: 'last' }),
    clip({ strategy: 'scratch' }),
    clip({ clipNorm: 0 }),
    clip({ clipNorm: 5 }),
  ]).toEqual([1, null, null, 5])
})

it('estimates more memory for larger batches, for optimizers with more state, and for layers that train', () => {
  const bytes = (options: Record<string, unknown>) => planFinetune(input(options)).phases[0]!.memoryBytes
  const all = bytes({ strategy: 'all', batchSize: 8 })
  expect(bytes({ strategy: 'all', batchSize: 32 })).toBeGreaterThan(all)
  expect(bytes({ strategy: 'all', batchSize: 8, optimizer: 'sgd' })).toBeLessThan(all)
  expect(bytes({ strategy: 'head', batchSize: 8, augment: false })).toBeLessThan(all)
})

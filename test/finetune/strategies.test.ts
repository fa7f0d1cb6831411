import { cp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { lrAt } from '../../src/finetune/plan/learning-rate.js'
import { headBias, headWeight } from '../../src/finetune/plan/network.js'
import { parseOptions } from '../../src/finetune/plan/options.js'
import type { FinetunePlan } from '../../src/finetune/plan/plan.js'
import { prepareFinetune } from '../../src/finetune/plan/prepare.js'
import { epochOrder } from '../../src/finetune/train/epoch.js'
import { decodeModel } from '../../src/onnx/read.js'
import { tinyModel } from '../support/tiny.js'
import { floatWeights, openWorkshop, watched } from './tune.js'

let shop: Awaited<ReturnType<typeof openWorkshop>>
beforeAll(async () => {
  shop = await openWorkshop()
})
afterAll(() => rm(shop.root, { recursive: true, force: true }))

const pretrained = floatWeights(decodeModel(tinyModel()))
const losses = ({ history }: { history: readonly { trainLoss: number; selectLoss: number }[] }) =>
  history.flatMap(({ trainLoss, selectLoss }) => [trainLoss, selectLoss])
function expectClose(a: readonly number[], b: readonly number[]): void {
  expect(a).toHaveLength(b.length)
  a.forEach((value, i) => {
    expect(Math.abs(value - b[i]!)).toBeLessThan(1e-4 * Math.abs(b[i]!))
  })
}

describe('a strategy moves', () => {
  it.each([
    ['head', {}, []],
    ['last', { freezeUntil: 'relu1' }, ['conv2.w', 'fc7.w']],
    ['all', {}, ['conv1.w', 'conv2.w', 'fc7.w']],
  ] as const)('%s %j: the new layer and %j, nothing else', async (strategy, more, expected) => {
    const out = `moves-${strategy}-${expected.length}`
    await shop.tune(out, { strategy, epochs: 1, ...more })
    const weights = await shop.weightsIn(out)
    const moved = ['conv1.w', 'conv2.w', 'fc7.w'].filter((name) =>
      pretrained.get(name)!.some((value, i) => value !== weights.get(name)![i]),
    )
    expect(moved).toEqual(expected)
    for (const name of [headWeight, headBias]) expect(Math.hypot(...weights.get(name)!)).toBeGreaterThan(0)
    expect(weights.has('fc8.w')).toBe(false)
  })
})

describe('lp-ft', () => {
  const options = { strategy: 'lp-ft', epochs: 3, patience: 9, dropout: 0.2, lr: 0.0005 }

  it('first does what head does, then goes on from there with every layer', async () => {
    const both = await shop.tune('both', options)
    const head = await shop.tune('head', { ...options, strategy: 'head', lr: 0.005 })
    expect(both.history.map(({ phase }) => phase)).toEqual(['head', 'head', 'head', 'all', 'all', 'all'])
    expect(losses({ history: both.history.slice(0, 3) })).toEqual(losses(head))
    const best = Math.min(...head.history.map(({ selectLoss }) => selectLoss))
    // The second phase's rate is small: it begins near where the first one ended.
    expect(both.history[3]!.selectLoss).toBeLessThan(1.05 * best)
    expect(head.history[0]!.selectLoss).toBeGreaterThan(1.05 * best)
    const weights = await shop.weightsIn('both')
    for (const name of ['conv1.w', 'conv2.w', 'fc7.w']) expect(weights.get(name)).not.toEqual(pretrained.get(name))
  })

  it.each([1, 2])('stopped in phase %d and resumed: the same file', async (phase) => {
    const out = `both-cut-${phase}`
    expect(await shop.cut(out, options, 7, phase)).toBe('INTERRUPTED')
    const again = await shop.tune(out, options)
    expect(again.history).toHaveLength(6)
    expect(await shop.hash(out, 'model.onnx')).toBe(await shop.hash('both', 'model.onnx'))
  })
})

describe('the frozen part', () => {
  const options = { strategy: 'last', epochs: 3, patience: 9, lr: 0.001, views: 3, randomErasing: 0.5, grayscale: 0.3 }

  it('kept or computed again, with as many views as epochs: the same training', async () => {
    const [kept, again] = [
      await shop.tune('kept', { ...options, cache: true }),
      await shop.tune('again', { ...options, cache: false }),
    ]
    expectClose(losses(kept), losses(again))
    const [a, b] = [await shop.weightsIn('kept'), await shop.weightsIn('again')]
    b.get(headWeight)!.forEach((value, i) => {
      expect(a.get(headWeight)![i]).toBeCloseTo(value, 5)
    })
    // What the views are matters to both.
    const plain = await shop.tune('plain', { ...options, augment: false })
    const [own, other] = [losses(kept).at(-2)!, losses(plain).at(-2)!]
    expect(Math.abs(own - other) / other).toBeGreaterThan(0.01)
  })

  it('is computed once: a resumed run takes what is there', async () => {
    expect(await shop.cut('once', options, 7, 1, true)).toBe('INTERRUPTED')
    const folder = join(shop.root, 'once', 'work', 'frozen0')
    const times = async () =>
      Promise.all((await readdir(folder)).sort().map(async (name) => [name, (await stat(join(folder, name))).mtimeMs]))
    const before = await times()
    // Four sets (selection, three views), each of one part and its note.
    expect(before).toHaveLength(8)
    await shop.tune('once', options, { keepFrozen: true })
    expect(await times()).toEqual(before)
    expect(await shop.hash('once', 'model.onnx')).toBe(await shop.hash('kept', 'model.onnx'))
  })
})

describe('images', () => {
  it('that are reported move nothing', async () => {
    const options = { strategy: 'all', epochs: 2, cache: false }
    await cp(join(shop.root, 'photos'), join(shop.root, 'other'), { recursive: true })
    const test = join(shop.root, 'other', 'test')
    for (const [from, to] of [
      ['red', 'blue'],
      ['green', 'red'],
    ] as const)
      await cp(join(shop.root, 'photos', 'test', from), join(test, to), { recursive: true, force: true })
    const [one, two] = [await shop.tune('one', options), await shop.tune('two', options, { source: 'other' })]
    expect(two.correct).not.toBe(one.correct)
    expect(two.history.map(({ selectLoss }) => selectLoss)).toEqual(one.history.map(({ selectLoss }) => selectLoss))
    expect(await shop.weightsIn('two')).toEqual(await shop.weightsIn('one'))
  })

  it('that choose the epoch must not all be broken', async () => {
    await cp(join(shop.root, 'photos'), join(shop.root, 'blind'), { recursive: true })
    const { roles, items } = await prepareFinetune(shop.request({ strategy: 'head' }, 'blind'))
    for (const i of roles.select) await writeFile(join(shop.root, 'blind', items[i]!.path), 'no image')
    await expect(shop.tune('blind-out', { strategy: 'head' }, { source: 'blind' })).rejects.toMatchObject({
      code: 'FINETUNE_SPLIT',
      message: 'None of the images that choose the epoch could be read.',
    })
  })
})

describe('a checkpoint', () => {
  const options = { strategy: 'all', epochs: 2 }
  it.each([
    [
      'weights that changed',
      async (work: string) => (await readdir(work)).filter((name) => /^phase0-.*safetensors$/.test(name)),
    ],
    ['a state that is not whole', async () => ['state.json']],
  ])('with %s is refused, and --force begins again', async (name, files) => {
    const out = name.replaceAll(' ', '-')
    expect(await shop.cut(out, options, 3)).toBe('INTERRUPTED')
    const work = join(shop.root, out, 'work')
    const [file] = await files(work)
    const bytes = await readFile(join(work, file!))
    await writeFile(join(work, file!), bytes.subarray(0, bytes.length - 9))
    await expect(shop.tune(out, options)).rejects.toMatchObject({
      code: 'CHECKPOINT_BROKEN',
      hint: expect.stringContaining('--force'),
    })
    expect((await shop.tune(out, options, { force: true })).history).toHaveLength(2)
  })

  it('of another version is refused by the name that it lacks', async () => {
    expect(await shop.cut('other-names', options, 6)).toBe('INTERRUPTED')
    const path = join(shop.root, 'other-names', 'work', 'state.json')
    await writeFile(path, (await readFile(path, 'utf8')).replaceAll('"lr":', '"rate":'))
    await expect(shop.tune('other-names', options)).rejects.toMatchObject({
      code: 'CHECKPOINT_BROKEN',
      message: expect.stringContaining('history: 0: lr'),
    })
  })
})

it('its steps follow the schedule: by tenths at 60 % and 85 %, slowly at first with a warm-up', async () => {
  const options = {
    strategy: 'head',
    epochs: 10,
    patience: 10,
    lr: 0.02,
    augment: false,
    schedule: 'constant',
    warmup: 0,
  }
  const train = async (out: string, more: object) => (await shop.tune(out, { ...options, ...more })).history
  const [constant, tenths, rising] = [
    await train('constant', {}),
    await train('tenths', { schedule: 'step' }),
    await train('rising', { warmup: 0.3 }),
  ]
  const moves = (history: typeof constant, from: number) =>
    Math.abs(history[from]!.selectLoss - history[from - 1]!.selectLoss)
  expect(losses({ history: tenths.slice(0, 6) })).toEqual(losses({ history: constant.slice(0, 6) }))
  expect(tenths[6]!.selectLoss).not.toBe(constant[6]!.selectLoss)
  // A hundredth of the rate from the ninth epoch on.
  expect(moves(tenths, 9)).toBeLessThan(0.2 * moves(tenths, 1))
  expect(rising[0]!.selectLoss).toBeGreaterThan(constant[0]!.selectLoss)
})

it('every epoch has an order of its own, a function of seed, phase and epoch', () => {
  const order = (seed: number, number: number, epoch: number) => {
    const plan = { options: { seed } } as FinetunePlan
    return epochOrder({ plan, number, train: Array.from({ length: 20 }, (_, i) => 3 * i) }, epoch)
  }
  const first = order(1, 0, 0)
  expect([...first].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => 3 * i))
  expect(order(1, 0, 0)).toEqual(first)
  for (const other of [order(2, 0, 0), order(1, 1, 0), order(1, 0, 1)]) expect(other).not.toEqual(first)
})

it('tells loss, accuracy and speed while it runs; its log has lr and gradients’ norms by depth', async () => {
  const options = { strategy: 'all', epochs: 2, schedule: 'step', warmup: 0.2 }
  const notes: string[] = []
  await cp(join(shop.root, 'photos'), join(shop.root, 'one-broken'), { recursive: true })
  const { plan, roles, items } = await prepareFinetune(shop.request(options))
  await writeFile(join(shop.root, 'one-broken', items[roles.train[0]!]!.path), 'no image')
  await shop.tune('logged', options, {
    source: 'one-broken',
    progress: watched((_done, note) => void notes.push(note)),
  })
  expect(notes).toHaveLength(4)
  for (const note of notes) expect(note).toMatch(/^loss \d+\.\d{4}, accuracy \d{1,3}\.\d %, \d+ images\/s$/)
  const log = (await readFile(join(shop.root, 'logged', 'log.jsonl'), 'utf8')).trim().split('\n')
  const epochs = log.map((line) => JSON.parse(line)).filter(({ epoch }) => epoch !== undefined)
  for (const [i, { lr, norms, imagesPerSecond, trainAccuracy }] of epochs.entries()) {
    expect(lr).toBe(lrAt(plan.phases[0]!, parseOptions(options), 4 * i + 3))
    // 30 images to train on, one of them broken; the last of four batches of 8 is filled up with rows that do not
    // count.
    expect(29 * trainAccuracy).toBeCloseTo(Math.round(29 * trainAccuracy), 9)
    expect(Object.keys(norms)).toEqual(['part 1 of 3', 'part 2 of 3', 'part 3 of 3', 'head'])
    for (const value of [...Object.values(norms), imagesPerSecond]) expect(value).toBeGreaterThan(0)
  }
})

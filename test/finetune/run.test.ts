import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { resolveBackbone } from '../../src/backbones/resolve.js'
import { createRandom } from '../../src/base/random.js'
import { readSafetensors } from '../../src/base/safetensors.js'
import { loadClassifier } from '../../src/classifiers/load.js'
import { readTrainedOn } from '../../src/evaluation/guards/trained-on.js'
import { prepareFinetune } from '../../src/finetune/plan/prepare.js'
import { exportTraining } from '../../src/finetune/result/export.js'
import { runFinetune } from '../../src/finetune/run.js'
import { previewAugmentation } from '../../src/finetune/train/preview.js'
import { decodeModel } from '../../src/onnx/read.js'
import { loadOrt } from '../../src/runtime/ort.js'
import { closeSession, openSession } from '../../src/runtime/session.js'
import { tinyModel, writeTinyImages } from '../support/tiny.js'
import { floatWeights, openWorkshop } from './tune.js'

let root: string
let shop: Awaited<ReturnType<typeof openWorkshop>>
beforeAll(async () => {
  shop = await openWorkshop()
  root = shop.root
  await writeFile(join(root, 'photos', 'train', 'red', 'broken.png'), 'no image')
})
afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

describe('fine-tuning a tiny network', () => {
  it('learns, leaves a backbone with its card and lists what it was trained on', async () => {
    const summary = await shop.tune('last', { strategy: 'last', epochs: 6, lr: 0.001 })
    expect(summary).toMatchObject({ reported: 15, failures: 1 })
    expect(summary.accuracy).toBeGreaterThan(0.6)
    const losses = summary.history.map(({ trainLoss }) => trainLoss)
    expect(losses.at(-1)).toBeLessThan(losses[0]!)
    const list = await readTrainedOn(join(root, 'last'))
    expect(list!.backbone).toBe(await shop.hash('last', 'model.onnx'))
    expect(list!.ids).toHaveLength(37)
    expect(list!.images).toHaveLength(36)
    const log = (await readFile(join(root, 'last', 'log.jsonl'), 'utf8')).trim().split('\n')
    expect(log.map((line) => JSON.parse(line)).filter(({ epoch }) => epoch !== undefined)).toHaveLength(6)
    const classifier = await loadClassifier(join(root, 'last', 'classifier'))
    expect(classifier.classes).toEqual(['blue', 'green', 'red'])
    await expect(stat(join(root, 'last', 'work'))).rejects.toThrow()
    const byName = await resolveBackbone('last', { cacheFolder: join(root, 'cache'), offline: true })
    expect(byName.weights).toMatchObject({ path: join(root, 'last', 'model.onnx'), sha256: list!.backbone })
    expect([summary.known, byName.recipe.name, byName.card.classes]).toEqual([true, 'torchvision', classifier.classes])
    await expect(shop.tune('last', { strategy: 'last', epochs: 6 })).rejects.toMatchObject({ code: 'FINETUNE_DONE' })
  })

  it('takes the name that was asked for, and leaves a name that another network has', async () => {
    const named = async (out: string, id?: string) => {
      const asked = shop.request({ strategy: 'head', epochs: 1, augment: false })
      return runFinetune(
        await prepareFinetune(asked),
        {},
        {
          out: join(root, out),
          threads: 1,
          cacheFolder: asked.cacheFolder,
          ...(id === undefined ? {} : { id }),
        },
      )
    }
    expect(await named('first', 'tuned')).toMatchObject({ id: 'tuned', known: true })
    expect(await named('tuned')).toMatchObject({ id: 'tuned', known: false })
    await expect(named('third', 'tuned')).rejects.toMatchObject({ code: 'MODEL_ID_TAKEN' })
    await expect(named('third', 'resnet50')).rejects.toMatchObject({ code: 'MODEL_ID_TAKEN' })
    await expect(named('third', 'a b')).rejects.toMatchObject({ code: 'USAGE_MODEL_ID' })
    await expect(stat(join(root, 'third'))).rejects.toThrow()
  })

  it.each(['all', 'last'])('stopped in the middle of an epoch and resumed, %s: the same file', async (strategy) => {
    const options = {
      strategy,
      epochs: 3,
      patience: 50,
      // Dropout and mixup draw by image and step: a resumed run draws the same.
      ...(strategy === 'last' ? { optimizer: 'adamw', gradAccumSteps: 2 } : { dropout: 0.3, mixup: 0.4 }),
    }
    await shop.tune(`whole-${strategy}`, options)
    expect(await shop.cut(`cut-${strategy}`, options, 7)).toBe('INTERRUPTED')
    await expect(shop.tune(`cut-${strategy}`, { ...options, epochs: 4 })).rejects.toMatchObject({
      code: 'FINETUNE_OTHER',
    })
    await shop.tune(`cut-${strategy}`, options)
    expect(await shop.hash(`cut-${strategy}`, 'model.onnx')).toBe(await shop.hash(`whole-${strategy}`, 'model.onnx'))
  })

  it('stops when the selection loss no longer falls, and keeps the weights of its best epoch', async () => {
    // At this rate the new layer overshoots, and a constant rate makes the epochs of both runs the same.
    const options = { strategy: 'head', lr: 0.3, schedule: 'constant', warmup: 0, augment: false }
    const stopped = await shop.tune('stopped', { ...options, epochs: 60, patience: 3 })
    expect(stopped.history).toHaveLength(stopped.bestEpoch + 3)
    expect(stopped.history.length).toBeLessThan(60)
    const losses = stopped.history.map(({ selectLoss }) => selectLoss)
    expect(losses.indexOf(Math.min(...losses)) + 1).toBe(stopped.bestEpoch)
    await shop.tune('until-best', { ...options, epochs: stopped.bestEpoch })
    expect(await shop.weightsIn('stopped')).toEqual(await shop.weightsIn('until-best'))
  })

  it('from scratch: forgets what was pretrained, learns, and repeats itself', async () => {
    const options = { strategy: 'scratch', epochs: 4, augment: false }
    const { history } = await shop.tune('scratch', options)
    expect(history.at(-1)!.trainLoss).toBeLessThan(history[0]!.trainLoss)
    await shop.tune('scratch-again', options)
    const [first, again] = [await shop.weightsIn('scratch'), await shop.weightsIn('scratch-again')]
    expect(again).toEqual(first)
    const pretrained = floatWeights(decodeModel(tinyModel()))
    const trained = first.get('conv2.w')!
    const [dot, a, b] = pretrained
      .get('conv2.w')!
      .reduce(([dot, a, b], v, i) => [dot! + v * trained[i]!, a! + v * v, b! + trained[i]! ** 2], [0, 0, 0]) as [
      number,
      number,
      number,
    ]
    // 1,152 weights drawn again have nothing in common with the old ones: their cosine is within 5 / √1152.
    expect(Math.abs(dot / Math.sqrt(a * b))).toBeLessThan(0.15)
  })

  it('two classes with --positive: one output with a sigmoid, measured and handed on as two classes', async () => {
    const source = join(root, 'two')
    await writeTinyImages(source, { train: 12, test: 5 })
    for (const split of ['train', 'test']) await rm(join(source, split, 'green'), { recursive: true })
    const asked = {
      ...shop.request({ strategy: 'head', epochs: 12, positive: 'blue', classWeight: 'balanced' }),
      source,
    }
    const prepared = await prepareFinetune(asked)
    expect([prepared.plan.loss, prepared.network.outputs, prepared.classes]).toEqual(['sigmoid', 1, ['red', 'blue']])
    const out = join(root, 'positive')
    const { accuracy, reported } = await runFinetune(prepared, {}, { out, threads: 1 })
    expect(reported).toBe(10)
    expect(accuracy).toBeGreaterThan(0.6)
    const { predictions } = JSON.parse(await readFile(join(out, 'finetune.json'), 'utf8'))
    for (const { label, predicted, scores } of predictions) {
      expect(['red', 'blue']).toContain(label)
      expect(scores[0] + scores[1]).toBeCloseTo(1, 6)
      expect(predicted).toBe(scores[1] > scores[0] ? 'blue' : 'red')
    }
    expect((await loadClassifier(join(out, 'classifier'))).classes).toEqual(['red', 'blue'])
  })

  it('says that it diverged, and what to do', async () => {
    await expect(shop.tune('wild', { strategy: 'all', lr: 90, epochs: 3 })).rejects.toMatchObject({
      code: 'FINETUNE_DIVERGED',
      hint: expect.stringContaining('--lr'),
    })
  })

  it('exports graphs that say the same of an image, each by its own input', async () => {
    const prepared = await prepareFinetune(shop.request({ strategy: 'scratch' }))
    const out = join(root, 'scratch-export')
    await exportTraining(prepared, out)
    const manifest = JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8'))
    const initial = await readSafetensors(join(out, 'initial.safetensors'))
    const { Tensor } = loadOrt()
    const random = createRandom('export')
    const pixels = Uint8Array.from({ length: 2 * 32 * 32 * 3 }, () => random.int(256))
    const { scale, mean, std } = manifest.recipe.recipe
    const planes = new Float32Array(pixels.length)
    pixels.forEach((value, i) => {
      const [row, at, c] = [Math.floor(i / 3072), Math.floor((i % 3072) / 3), i % 3]
      planes[row * 3072 + c * 1024 + at] = (value * scale - mean[c]) / std[c]
    })
    const run = async (file: string, feeds: Record<string, InstanceType<typeof Tensor>>) => {
      const session = await openSession(join(out, file))
      const result = await session.run(feeds)
      await closeSession(session)
      return Array.from(Object.values(result)[0]!.data as Float32Array)
    }
    const weights = manifest.loopState.flatMap(
      ({ name, kind, dims }: { name: string; kind: string; dims: number[] }) =>
        kind === 'parameter' || kind === 'statistic'
          ? [[name, new Tensor('float32', initial.get(name)!.values as Float32Array, dims)]]
          : [],
    )
    const logits = await run('evaluation.onnx', {
      [manifest.data.evaluationInput]: new Tensor('uint8', pixels, [2, 32, 32, 3]),
      ...Object.fromEntries(weights),
    })
    const probabilities = await run('inference.onnx', { data: new Tensor('float32', planes, [2, 3, 32, 32]) })
    expect(Math.max(...logits) - Math.min(...logits)).toBeGreaterThan(0.05)
    for (const row of [0, 1]) {
      const z = logits.slice(3 * row, 3 * row + 3).map(Math.exp)
      const total = z.reduce((a, b) => a + b)
      z.forEach((v, c) => {
        expect(probabilities[3 * row + c]).toBeCloseTo(v / total, 5)
      })
    }
    for (const { file, sha256 } of manifest.files) expect(await shop.hash('scratch-export', file)).toBe(sha256)
  })

  it('exports graphs with a manifest, and a sheet of augmented images', async () => {
    const prepared = await prepareFinetune(shop.request({ strategy: 'all' }))
    const regular = await prepareFinetune(shop.request({ strategy: 'head', mixup: 0.2, dropout: 0.5 }))
    const files = await exportTraining(regular, join(root, 'export'))
    expect(files).toEqual([
      'training.onnx',
      'evaluation.onnx',
      'inference.onnx',
      'initial.safetensors',
      'manifest.json',
    ])
    const manifest = JSON.parse(await readFile(join(root, 'export', 'manifest.json'), 'utf8'))
    expect(manifest).toMatchObject({
      format: 1,
      kind: 'fc7-training-graph',
      batchSize: 8,
      mixup: 0.2,
      masks: [{ name: 'mask:fc7/head/dropped', shape: [8, 24], rate: 0.5 }],
      data: { row: [32, 32, 3], type: 'uint8' },
    })
    expect(await previewAugmentation(prepared, join(root, 'sheet.html'))).toBe(12)
    const page = await readFile(join(root, 'sheet.html'), 'utf8')
    expect(page.match(/data:image\/webp/g)!.length).toBeGreaterThan(70)
    const mixed = await prepareFinetune(shop.request({ strategy: 'all', mixup: 0.4 }))
    await previewAugmentation(mixed, join(root, 'mixed.html'))
    expect(await readFile(join(root, 'mixed.html'), 'utf8')).toMatch(/α 0.4[\s\S]*% of this image/)
  })
})

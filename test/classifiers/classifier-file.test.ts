import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { NamedTensor } from '../../src/base/safetensors.js'
import { encodeSafetensors, readSafetensors } from '../../src/base/safetensors.js'
import { type Classifier, fitClassifier } from '../../src/classifiers/classifier.js'
import { loadClassifier } from '../../src/classifiers/load.js'
import { getTrainer } from '../../src/trainers/registry.js'
import { node } from '../cli/run.js'
import { clusters } from '../trainers/data.js'

const set = clusters(40, 6, 3)
const train = (options: object = {}): Promise<Classifier> =>
  fitClassifier({
    trainer: getTrainer('logistic'),
    set,
    preprocess: 'standardise+pca:4',
    calibrate: 'isotonic',
    provenance: { backbone: 'generated', layer: 'fc7', recipe: 'none' },
    ...options,
  })

let root: string
let good: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-classifier-'))
  good = join(root, 'good')
  await (await train()).save(good)
})
afterAll(() => rm(root, { recursive: true, force: true }))

type Json = Record<string, any>

/** A copy of the good classifier, changed. */
async function damaged(
  change: (json: Json, tensors: Map<string, NamedTensor>) => unknown,
  raw: (text: string) => string = (text) => text,
): Promise<string> {
  const folder = await mkdtemp(join(root, 'bad-'))
  await cp(good, folder, { recursive: true })
  const json = JSON.parse(await readFile(join(folder, 'classifier.json'), 'utf8'))
  const tensors = await readSafetensors(join(folder, 'weights.safetensors'))
  await change(json, tensors)
  await writeFile(join(folder, 'classifier.json'), raw(JSON.stringify(json)))
  await writeFile(join(folder, 'weights.safetensors'), Buffer.concat(encodeSafetensors(tensors)))
  return folder
}

const floats = (...dims: number[]): NamedTensor => ({
  dims,
  values: new Float32Array(dims.reduce((product, n) => product * n, 1)),
})

describe('a classifier folder that is damaged or hostile is refused', () => {
  const cases: readonly [string, (json: Json, tensors: Map<string, NamedTensor>) => unknown][] = [
    ['a format of the future', (json) => Object.assign(json, { format: 2 })],
    ['a width that is enormous', (json) => Object.assign(json, { dim: 1e12 })],
    ['another width', (json) => Object.assign(json, { dim: 7 })],
    ['a class that is not there', (json) => json.fitted.push(9)],
    ['a class twice', (json) => json.fitted.splice(0, 1, 1)],
    ['fewer classes than the model', (json) => json.fitted.pop()],
    ['parameters that do not exist', (json) => json.params.push(['__proto__', 3])],
    ['a parameter out of range', (json) => Object.assign(json.params[0], [json.params[0][0], -1])],
    ['an unknown preprocessing', (json) => Object.assign(json, { preprocess: 'eval' })],
    ['preprocessing of another shape', (_, tensors) => tensors.set('preprocess.0.mean', floats(5))],
    ['a projection that does not divide', (_, tensors) => tensors.set('preprocess.1.projection', floats(23))],
    ['weights of another width', (_, tensors) => tensors.set('model.weights', floats(3, 9))],
    [
      'weights that are no floats',
      (_, tensors) => tensors.set('model.weights', { dims: [3, 4], values: new Int32Array(12) }),
    ],
    ['weights that are not finite', (_, tensors) => tensors.get('model.bias')!.values.fill(Number.NaN as never)],
    ['a missing tensor', (_, tensors) => tensors.delete('model.bias')],
    [
      'a calibration without knots',
      (_, tensors) => tensors.set('calibration.0', { dims: [0], values: new Float64Array() }),
    ],
    ['a calibration of other classes', (json) => Object.assign(json.calibration, { classes: 2 })],
    ['a model of another kind', (json) => Object.assign(json.model, { kind: 'forest' })],
    ['no model', (json) => Object.assign(json, { model: null })],
    ['labels that are no text', (json) => Object.assign(json, { classes: [1, 2, 3] })],
  ]
  it.each(cases)('%s', async (_name, change) => {
    const error = await loadClassifier(await damaged(change)).catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'CLASSIFIER_BROKEN', hint: expect.stringMatching(/\w/) })
    expect(error.message).not.toContain('\n')
  })

  it('an unknown trainer', async () => {
    const folder = await damaged((json) => Object.assign(json, { trainer: 'constructor' }))
    await expect(loadClassifier(folder)).rejects.toMatchObject({ code: 'TRAINER_UNKNOWN' })
  })

  it('prototype keys change nothing', async () => {
    const folder = await damaged(
      () => {},
      (text) => text.replace('{', '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},'),
    )
    await loadClassifier(folder)
    expect(({} as Json).polluted).toBeUndefined()
  })

  it.each<[string, (bytes: Buffer) => Buffer]>([
    ['cut short', (bytes) => bytes.subarray(0, bytes.length - 9)],
    ['with bytes behind its end', (bytes) => Buffer.concat([bytes, Buffer.alloc(8)])],
    [
      'with a header of 2^60 bytes',
      (bytes) => Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, 16]), bytes.subarray(8)]),
    ],
    ['that is empty', () => Buffer.alloc(0)],
    [
      'with a tensor of 2^52 values',
      () => {
        const header = Buffer.from('{"model.bias":{"dtype":"F32","shape":[67108864,67108864],"data_offsets":[0,4]}}  ')
        const length = Buffer.alloc(8)
        length.writeBigUInt64LE(BigInt(header.length))
        return Buffer.concat([length, header, Buffer.alloc(4)])
      },
    ],
  ])('a weights file %s', async (_name, change) => {
    const folder = await damaged(() => {})
    const path = join(folder, 'weights.safetensors')
    await writeFile(path, change(await readFile(path)))
    await expect(loadClassifier(folder)).rejects.toMatchObject({ code: 'SAFETENSORS_BROKEN' })
  })
})

describe('saving', () => {
  it('leaves two files, three with the ONNX form, and replaces the old ones', async () => {
    const folder = join(root, 'twice')
    const classifier = await train()
    await classifier.save(folder, { onnx: true })
    expect((await readdir(folder)).sort()).toEqual(['classifier.json', 'classifier.onnx', 'weights.safetensors'])
    await classifier.save(folder)
    expect((await readdir(folder)).sort()).toEqual(['classifier.json', 'weights.safetensors'])
    expect((await readdir(root)).filter((name) => name.startsWith('.twice'))).toEqual([])
  })

  it('refuses a folder that holds something else', async () => {
    const folder = join(root, 'other')
    await mkdir(folder)
    await writeFile(join(folder, 'thesis.txt'), 'years of work')
    await expect((await train()).save(folder)).rejects.toMatchObject({ code: 'CLASSIFIER_OCCUPIED' })
    expect(await readFile(join(folder, 'thesis.txt'), 'utf8')).toBe('years of work')
  })

  it('a save that was killed between its two renames is read and put back', async () => {
    const folder = join(root, 'between')
    const classifier = await train()
    await classifier.save(folder)
    await rename(folder, join(root, '.between.previous'))
    expect((await loadClassifier(folder)).info).toEqual(classifier.info)
    await classifier.save(folder)
    expect((await loadClassifier(folder)).info).toEqual(classifier.info)
  })

  it('killed at any step, the old or the new classifier is there, whole', async () => {
    const folder = join(root, 'killed')
    const script = fileURLToPath(new URL('./save-killed.mjs', import.meta.url))
    await node([script, folder, 'never', '0'])
    let finished = false
    for (let step = 1; !finished; step++) {
      const { code } = await node([script, folder, String(step), String(step)])
      finished = code === 0
      const { info, model } = await loadClassifier(folder)
      // The seed is written into the weights too: both files are of one save.
      expect(model.save().tensors.get('bias')!.values[0]).toBe(info.seed)
      if (finished) expect([info.seed, step > 8]).toEqual([step, true])
    }
  }, 60_000)
})

import { describe, expect, it } from '@jest/globals'
import { fitClassifier } from '../../src/classifiers/classifier.js'
import { checkProvenance } from '../../src/classifiers/provenance.js'
import { getTrainer } from '../../src/trainers/registry.js'
import { clusters } from './data.js'

describe('embeddings made otherwise than the classifier’s', () => {
  const own = { backbone: 'resnet50', backboneSha256: 'a'.repeat(64), layer: 'avg_pool', recipe: 'keras-caffe' }
  const set = clusters(12, 4, 2)
  const info = async () => (await fitClassifier({ trainer: getTrainer('nearest-mean'), set, provenance: own })).info

  it.each([
    ['backbone', { backbone: 'alexnet' }, 'alexnet'],
    ['backbone file', { backboneSha256: 'b'.repeat(64) }, 'bbbbbbbbbbbb'],
    ['layer', { layer: 'fc7' }, 'fc7'],
    ['recipe', { recipe: 'torchvision' }, 'torchvision'],
    ['width', { dim: 5 }, '5'],
  ])('are refused: another %s', async (what, change, name) => {
    const classifier = await info()
    expect(() => checkProvenance(classifier, { ...own, dim: 4 })).not.toThrow()
    const check = (): void => checkProvenance(classifier, { ...own, dim: 4, ...change })
    expect(check).toThrow(expect.objectContaining({ code: 'CLASSIFIER_MISMATCH' }))
    expect(check).toThrow(new RegExp(`on ${what} .* come from ${name}`))
  })
})

it.each(['ml-svm', 'ml-random-forest'])('%s refuses what it would not finish, with the estimate', async (id) => {
  const trainer = getTrainer(id)
  expect(() => trainer.checkSize!(40, 20, 2)).not.toThrow()
  const rows = 20_000
  const set = {
    x: { data: new Float32Array(rows * 512), rows, cols: 512 },
    y: Int32Array.from({ length: rows }, (_, i) => i % 10),
    classes: [...'0123456789'],
  }
  await expect(
    fitClassifier({ trainer, set, provenance: { backbone: 'generated', layer: 'fc7', recipe: 'none' } }),
  ).rejects.toMatchObject({
    code: 'TRAINER_TOO_SLOW',
    message: expect.stringMatching(/about \d+ (s|min|h)\b/),
  })
})

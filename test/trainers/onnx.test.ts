import { describe, expect, it } from '@jest/globals'
import { fitClassifier } from '../../src/classifiers/classifier.js'
import { getTrainer, trainers } from '../../src/trainers/registry.js'
import { clusters } from './data.js'
import { onnxDifference, runOnnx } from './onnx.js'

const provenance = { backbone: 'generated', layer: 'fc7', recipe: 'none' }
const set = clusters(90, 12, 3, 1, 1.5)
const fresh = clusters(60, 12, 3, 2, 1.5)
const same = { score: expect.closeTo(0, 5), classes: 0 }
const train = (trainer: string, options: object = {}) =>
  fitClassifier({ trainer: getTrainer(trainer), set, provenance, ...options })

describe('a classifier written as ONNX gives the same scores', () => {
  // Few rounds: what the classifier reads is asked here, not how well it learns.
  const small: Readonly<Record<string, object>> = {
    mlp: { max_iter: 5, hidden_layer_sizes: '8' },
    'random-forest': { n_estimators: 10 },
    'extra-trees': { n_estimators: 10 },
    'gradient-boosting': { max_iter: 5 },
  }
  describe.each(trainers.filter(({ reference }) => !reference).map(({ id }) => id))('%s', (id) => {
    it.each(['none', 'l2', 'standardise', 'power:0.5+l2', 'power:0.3', 'pca:4', 'standardise+pca-whiten:5'])(
      'preprocessing %s',
      async (preprocess) => {
        expect(await onnxDifference(await train(id, { preprocess, params: small[id] ?? {} }), fresh.x)).toEqual(same)
      },
    )
  })

  it.each([9, 10, 11, 12, 13, 15, 18, 21])('operator set %i', async (opset) => {
    for (const [trainer, calibrate] of [
      ['logistic', 'sigmoid'],
      ['linear-svm', 'isotonic'],
      ['knn', 'isotonic'],
    ]) {
      const classifier = await train(trainer!, { preprocess: 'power:0.5+l2', calibrate })
      expect(await onnxDifference(classifier, fresh.x, opset)).toEqual(same)
    }
  })

  it('rows of zeros, and a class without rows', async () => {
    const x = { data: new Float32Array(24), rows: 2, cols: 12 }
    x.data[3] = 1e-20
    const classes = ['class 0', 'nobody', 'class 1', 'class 2']
    const y = set.y.map((c) => (c === 0 ? 0 : c + 1))
    for (const trainer of ['linear-svm', 'logistic', 'knn']) {
      const classifier = await train(trainer, { set: { ...set, y, classes } })
      expect(await onnxDifference(classifier, x)).toEqual(same)
    }
  })

  it.each(['random-forest', 'extra-trees'])(
    '%s: values at a threshold and beside it take the same way',
    async (trainer) => {
      const classifier = await train(trainer, { params: { n_estimators: 5 }, preprocess: 'none' })
      const { tensors } = classifier.model.save()
      const [feature, threshold] = ['feature', 'threshold'].map((name) => tensors.get(name)!.values as Float32Array)
      const splits = [...feature!.keys()].filter((node) => feature![node]! >= 0)
      const data = new Float32Array(splits.length * 3 * 12)
      const bits = new Int32Array(data.buffer)
      for (const [i, node] of splits.entries())
        for (const step of [-1, 0, 1]) {
          const row = 3 * i + 1 + step
          data.set(set.x.data.subarray((i % 90) * 12, (i % 90) * 12 + 12), row * 12)
          // The float32 neighbours of a number are its bits plus and minus one.
          data[row * 12 + feature![node]!] = threshold![node]!
          bits[row * 12 + feature![node]!]! += threshold![node] === 0 ? 0 : step
        }
      expect(await onnxDifference(classifier, { data, rows: splits.length * 3, cols: 12 })).toEqual(same)
    },
  )

  it('neighbours that vote by distance, and rows that are training rows', async () => {
    const classifier = await train('knn', { params: { weights: 'distance', n_neighbors: 7 } })
    expect(await onnxDifference(classifier, set.x)).toEqual(same)
    expect(await onnxDifference(classifier, fresh.x)).toEqual(same)
  })

  it('keeps labels that are awkward, and says in its metadata what it is', async () => {
    const classes = ['__proto__', 'ü, "x"', '</script>']
    const model = (await train('logistic', { set: { ...set, classes } })).toOnnx()
    const { labels } = await runOnnx(model, set.x)
    expect(new Set(labels)).toEqual(new Set(classes))
    const metadata = new Map(model.metadataProps.map(({ key, value }) => [key, value]))
    expect(JSON.parse(metadata.get('fc7.classes')!)).toEqual(classes)
    expect(metadata.get('fc7.layer')).toBe('fc7')
  })

  it('refuses a reference trainer and an operator set that is too old', async () => {
    const classifier = await train('ml-svm')
    expect(() => classifier.toOnnx()).toThrow(expect.objectContaining({ code: 'ONNX_NOT_SUPPORTED' }))
    const own = await train('logistic')
    expect(() => own.toOnnx(7)).toThrow(expect.objectContaining({ code: 'ONNX_OPSET' }))
  })
})

import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../src/base/random.js'
import { fitClassifier, predictedClasses } from '../../src/trainers/classifier.js'
import type { Trainer, TrainingSet } from '../../src/trainers/contract.js'
import { trainers } from '../../src/trainers/registry.js'

const provenance = { backbone: 'generated', layer: 'fc7', recipe: 'none' }

/** Overlapping clusters, one a class. */
function clusters(classes: number, perClass: number, cols: number, name = 'clusters'): TrainingSet {
  const random = createRandom(name)
  const centres = Array.from({ length: classes }, () => Array.from({ length: cols }, () => 2 * random.normal()))
  const rows = classes * perClass
  const y = Int32Array.from({ length: rows }, (_, i) => i % classes)
  const data = Float32Array.from(
    { length: rows * cols },
    (_, i) => centres[y[Math.floor(i / cols)]!]![i % cols]! + random.normal(),
  )
  const names = Array.from({ length: classes }, (_, c) => `class ${c}`)
  return { x: { data, rows, cols }, y, classes: names, ids: Array.from(y, (_, i) => `row ${i}`) }
}

// Sixty rows make few steps an epoch: a network needs more epochs there than its default.
const fit = (trainer: Trainer, set: TrainingSet, seed = 1) =>
  fitClassifier({
    trainer,
    set,
    seed,
    provenance,
    params: trainer.params.some(({ name }) => name === 'epochs') ? { epochs: 300 } : {},
  })

describe.each(trainers.map((trainer) => [trainer.id, trainer] as const))('the trainer %s', (_id, trainer) => {
  it('learns, and the same seed gives the same model', async () => {
    const set = clusters(3, 20, 6)
    const [a, b] = [await fit(trainer, set), await fit(trainer, set)]
    const scores = await a.predictScores(set.x)
    expect(scores).toEqual(await b.predictScores(set.x))
    const right = predictedClasses(scores, 3).filter((label, i) => label === set.y[i]).length
    expect(right).toBeGreaterThan(50)
    if (a.scoreKind === 'probability')
      for (let i = 0; i < 60; i++) expect(scores[3 * i]! + scores[3 * i + 1]! + scores[3 * i + 2]!).toBeCloseTo(1, 4)
  })

  it('saved and loaded, it gives the same scores', async () => {
    const set = clusters(3, 15, 5)
    const { model } = await fit(trainer, set)
    const x = set.x
    expect(await trainer.load(model.save()).scores(x)).toEqual(await model.scores(x))
  })

  it('renaming classes changes nothing', async () => {
    const set = clusters(3, 15, 5)
    const renamed = await fit(trainer, { ...set, classes: ['__proto__', 'a.b[0]', '</script>'] })
    expect(await renamed.predictScores(set.x)).toEqual(await (await fit(trainer, set)).predictScores(set.x))
  })

  it('refuses one class and values that are not finite, naming the row', async () => {
    const set = clusters(2, 5, 4)
    await expect(fit(trainer, { ...set, y: new Int32Array(10), classes: ['only'] })).rejects.toMatchObject({
      code: expect.any(String),
    })
    const data = Float32Array.from(set.x.data)
    data[3 * 4 + 1] = Number.NaN
    await expect(fit(trainer, { ...set, x: { ...set.x, data } })).rejects.toThrow('row 3')
  })

  it('takes constant features, duplicate rows and more features than rows', async () => {
    const set = clusters(2, 8, 40)
    const data = Float32Array.from(set.x.data, (value, i) => (i % 40 < 10 ? 7 : value))
    data.copyWithin(40 * 2, 0, 40)
    const scores = await (await fit(trainer, { ...set, x: { ...set.x, data } })).predictScores(set.x)
    expect(scores.every(Number.isFinite)).toBe(true)
  })
})

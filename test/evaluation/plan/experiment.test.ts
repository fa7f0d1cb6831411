import { describe, expect, it } from '@jest/globals'
import { parseOperatingRule } from '../../../src/evaluation/metrics/operating-point.js'
import { comparisonOptions, experimentText, parseExperiment } from '../../../src/evaluation/plan/experiment.js'
import { planComparison, planText } from '../../../src/evaluation/plan/plan.js'
import { cloudTable } from '../tables.js'

const read = (text: string) => parseExperiment(text, 'x.yaml')
const whole = `
format: 1
sources:
  - a.fc7
  - { path: photos, model: resnet50, recipe: keras-caffe, layers: [avg_pool] }
trainers:
  - knn
  - { id: logistic, key: strong, set: { C: 10 }, calibrate: sigmoid, class-weight: balanced, tune: false }
protocol: kfold
folds: 4
repeats: 3
curve: [0.2, 1]
metric: macro-f1
positive: b
operating: { kind: sensitivity, atLeast: 0.95 }
tune: { search: random, candidates: 5, inner-folds: 2, grids: { C: [0.1, 1] } }
group-duplicates: true
seed: 7
`

describe('an experiment file', () => {
  it('says all that a comparison takes, and comes back from its own text', () => {
    const experiment = read(whole)
    expect(read(experimentText(experiment))).toEqual(experiment)
    const options = comparisonOptions(experiment)
    expect(options).toMatchObject({ protocol: 'kfold', folds: 4, repeats: 3, metric: 'macro-f1', seed: 7 })
    expect(options.trainers[1]).toMatchObject({ id: 'logistic', key: 'strong', classWeight: 'balanced', tune: false })
    expect(options.tune).toMatchObject({ search: 'random', candidates: 5, innerFolds: 2 })
    expect(comparisonOptions(read('format: 1\nsources: [a]\ntrainers: [knn]\ncurve: true')).curve).toEqual([
      0.1, 0.2, 0.4, 0.8, 1,
    ])
  })

  it('plans the same comparison as the options it stands for', () => {
    const tables = [{ name: 'net', table: cloudTable({ classes: ['a', 'b'], perClass: 15 }) }]
    const plan = (text: string) => planText(planComparison({ ...comparisonOptions(read(text)), tables })).hash
    const text = 'format: 1\nsources: [a]\ntrainers: [knn, {id: logistic, set: {C: 2}}]\nseed: 3\nfolds: 3'
    expect(plan(text)).toBe(plan(experimentText(read(text))))
    expect(plan(text)).toBe(
      planText(planComparison({ tables, trainers: ['knn', { id: 'logistic', params: { C: 2 } }], seed: 3, folds: 3 }))
        .hash,
    )
    expect(plan(text)).not.toBe(plan(text.replace('seed: 3', 'seed: 4')))
  })

  it.each([
    ['custom tags', 'format: 1\nsources: [a]\ntrainers: [!!js/function "x"]', /tag/i],
    ['a key twice', 'format: 1\nformat: 1\nsources: [a]\ntrainers: [knn]', /unique/i],
    ['unknown entries', 'format: 1\nsources: [a]\ntrainers: [knn]\nfold: 3', /fold/],
    ['wrong values', 'format: 1\nsources: [a]\ntrainers: [knn]\nfolds: many', /folds/],
    ['no trainers', 'format: 1\nsources: [a]\ntrainers: []', /trainers/],
    ['another format', 'format: 2\nsources: [a]\ntrainers: [knn]', /format/],
    ['broken YAML', 'format: [1', /x\.yaml/],
    ['several documents', 'format: 1\n---\nformat: 1', /x\.yaml/],
    ['nothing', '', /x\.yaml/],
  ])('refuses %s', (_, text, message) => {
    expect(() => read(text)).toThrow(message)
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'EXPERIMENT_BROKEN' }))
  })

  it('bounds aliases and size', () => {
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]']
    for (const [now, before] of ['ba', 'cb', 'dc', 'ed', 'fe'].map((pair) => [...pair]))
      bomb.push(`${now}: &${now} [${Array(9).fill(`*${before}`).join(',')}]`)
    expect(() => read(bomb.join('\n'))).toThrow(/alias/i)
    expect(() => read(`# ${'x'.repeat(1 << 20)}`)).toThrow('1 MiB')
  })

  it('keeps hostile names as names', () => {
    const experiment = read(
      'format: 1\nsources: [a]\ntrainers: [{id: knn, set: {__proto__: 1, constructor: 2}}]\npositive: __proto__',
    )
    const [trainer] = experiment.trainers
    expect(typeof trainer === 'object' && [...trainer.set!.keys()]).toEqual(['__proto__', 'constructor'])
    expect(({} as Record<string, unknown>).kind).toBeUndefined()
    expect(() => read('format: 1\nsources: [a]\ntrainers: [knn]\n__proto__: {x: 1}')).toThrow(/__proto__/)
  })
})

describe('an operating point as typed', () => {
  it('is read or refused', () => {
    expect(parseOperatingRule('youden')).toEqual({ kind: 'youden' })
    expect(parseOperatingRule('threshold=0.3')).toEqual({ kind: 'threshold', threshold: 0.3 })
    expect(parseOperatingRule('sensitivity=0.95')).toEqual({ kind: 'sensitivity', atLeast: 0.95 })
    for (const text of ['', 'sensitivity', 'sensitivity=', 'sensitivity=1.2', 'specificity=x', 'threshold', 'best=1'])
      expect(() => parseOperatingRule(text)).toThrow(text === '' ? '""' : text)
  })
})

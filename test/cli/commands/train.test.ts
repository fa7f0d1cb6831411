import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { loadClassifier } from '../../../src/classifiers/load.js'
import { trainers } from '../../../src/trainers/registry.js'
import { clusters } from '../../trainers/data.js'
import { errorLines, fc7, fc7Warm } from '../run.js'

const rows = 120
const set = clusters(rows, 6, 2, 1, 3)

let root: string
const train = (...args: string[]) => fc7Warm(['train', 'store', '--trainer', 'knn', ...args], { cwd: root })

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-train-'))
  const lines = Array.from(
    { length: rows },
    (_, i) => `p${i},${set.y[i]},${set.x.data.subarray(6 * i, 6 * i + 6).join(',')}`,
  )
  await writeFile(join(root, 'x.csv'), `id,label,a,b,c,d,e,f\n${lines.join('\n')}\n`)
  expect((await fc7(['import', 'x.csv', '--out', 'store'], { cwd: root })).code).toBe(0)
}, 30_000)
afterAll(() => rm(root, { recursive: true, force: true }))

describe('fc7 train', () => {
  it('--tune prints and stores the parameters it found', async () => {
    const { code, stdout } = await train('--tune', '--set', 'weights=distance', '--out', 'tuned')
    const { info } = await loadClassifier(join(root, 'tuned'))
    expect([code, info.params.get('weights')]).toEqual([0, 'distance'])
    const { trials } = info.tuning!
    const best = trials.reduce((a, b) => (b.mean! > a.mean! ? b : a))
    expect([...info.params]).toEqual(best.params)
    expect(stdout).toContain(
      `Tuned: n_neighbors=${info.params.get('n_neighbors')}: best of ${trials.length} candidates, accuracy ${best.mean!.toFixed(4)} on 3 inner folds.`,
    )
  }, 30_000)

  it('takes how to search in place of --tune, and says so in JSON', async () => {
    const asked = ['--search', 'random', '--candidates', '4', '--inner-folds', '2', '--metric', 'log-loss']
    const { stdout } = await train(...asked, '--out', 'random', '--json')
    const { tuning, params } = JSON.parse(stdout)
    expect(tuning).toMatchObject({ search: 'random', innerFolds: 2, metric: 'log-loss', candidates: 4 })
    const kept = JSON.parse(await readFile(join(root, 'random', 'classifier.json'), 'utf8'))
    const means = kept.tuning.trials.map(({ mean }: { mean: number }) => mean)
    expect(tuning.score).toBe(Math.min(...means))
    expect(Object.entries(params)).toEqual(kept.params)
    const refused = await train('--tune', '--candidates', '1', '--out', 'bad')
    expect([refused.code, errorLines(refused)[0]]).toEqual([2, 'fc7: --candidates does not take 1.'])
  }, 30_000)

  it('--weights counts rows as much as the file says, keeps its hash, and is refused naming the row', async () => {
    // Only the rows of class 0 weigh anything to speak of.
    const lines = Array.from({ length: rows }, (_, i) => `p${i},${set.y[i] === 0 ? 1 : 1e-6}`)
    await writeFile(join(root, 'weights.csv'), `id,weight\n${lines.join('\n')}\n`)
    const args = ['--set', 'n_neighbors=25', '--weights', 'weights.csv', '--out', 'weighted']
    expect((await train(...args)).code).toBe(0)
    const classifier = await loadClassifier(join(root, 'weighted'))
    const scores = await classifier.predictScores(set.x)
    expect(scores.filter((_, i) => i % 2 === 0).every((p) => p > 0.99)).toBe(true)
    expect(classifier.info.provenance.weights).toMatch(/^[0-9a-f]{64}$/)
    await writeFile(join(root, 'weights.csv'), `id,weight\n${lines.slice(0, 7).join('\n')}\n`)
    const refused = await train(...args)
    expect([refused.code, errorLines(refused)[0]]).toEqual([
      1,
      'fc7: weights.csv: the training image p7 has no weight.',
    ])
  }, 30_000)

  it('keeps preprocessing, class weights and calibration with the classifier', async () => {
    const args = ['--preprocess', 'power:0.5+pca-whiten:3', '--class-weight', 'balanced', '--calibrate', 'sigmoid']
    const { stdout } = await fc7Warm(
      ['train', 'store', '--trainer', 'linear-svm', ...args, '--out', 'whole', '--json'],
      {
        cwd: root,
      },
    )
    const asked = { preprocess: 'power:0.5+pca-whiten:3', scoreKind: 'probability' }
    expect(JSON.parse(stdout)).toMatchObject({ ...asked, tuning: null })
    const { info, calibration } = await loadClassifier(join(root, 'whole'))
    expect([info.preprocess, info.classWeight, calibration!.kind]).toEqual([asked.preprocess, 'balanced', 'sigmoid'])
    expect(info.trainedOn).toHaveLength(rows)
  }, 30_000)

  it('gives up at the time limit, says so where a solver did not converge, and refuses ONNX of a reference trainer', async () => {
    const late = await train('--tune', '--time-limit', '0.001', '--out', 'late')
    expect([late.code, errorLines(late)[0]]).toEqual([1, expect.stringContaining('was not finished after 0.001 s')])
    const hard = ['--set', 'C=1e6', '--set', 'max_iter=1', '--set', 'loss=hinge', '--out', 'hard']
    const short = await fc7Warm(['train', 'store', '--trainer', 'linear-svm', ...hard], { cwd: root })
    expect([short.code, short.stderr]).toEqual([0, expect.stringContaining('had not converged')])
    const reference = await fc7Warm(['train', 'store', '--trainer', 'ml-svm', '--onnx', '--out', 'reference'], {
      cwd: root,
    })
    expect([reference.code, errorLines(reference)[0]]).toEqual([
      1,
      expect.stringContaining('cannot be written as ONNX'),
    ])
    const left = await readdir(root)
    for (const name of ['late', 'reference']) expect(left).not.toContain(name)
  }, 60_000)

  it('says what memory it estimates, what it took, and with --dry-run stops there', async () => {
    const args = ['--preprocess', 'standardise', '--calibrate', 'sigmoid']
    const planned = await train(...args, '--out', 'planned', '--dry-run', '--json')
    const plan = JSON.parse(planned.stdout)
    expect([planned.code, planned.stderr]).toEqual([
      0,
      expect.stringMatching(/About \d+ MB of memory estimated: rows /),
    ])
    expect(plan).toMatchObject({
      dryRun: true,
      trainer: 'knn',
      rows,
      columns: 6,
      classes: expect.arrayContaining(['0', '1']),
      params: { n_neighbors: 5, weights: 'uniform' },
      preprocess: 'standardise',
      // The table's rows and those picked from it; one copy prepared, one the classifier's own, one of the folds.
      memory: { rowsBytes: 8 * rows * 6, preprocessBytes: 4 * rows * 6, foldBytes: 4 * rows * 6 },
    })
    expect(await readdir(root)).not.toContain('planned')
    const { memory } = JSON.parse((await train(...args, '--out', 'fitted', '--json')).stdout)
    const { peakBytes, ...estimated } = memory
    expect(estimated).toEqual(plan.memory)
    expect(peakBytes).toBeGreaterThan(30e6)
    const refused = await train('--memory-limit', '0.05', '--out', 'planned')
    expect([refused.code, errorLines(refused)[0]]).toEqual([
      1,
      expect.stringMatching(/^fc7: k nearest neighbours would need about \d+ MB, --memory-limit allows 54 MB\.$/),
    ])
    expect(await readdir(root)).not.toContain('planned')
  }, 30_000)

  it('--help names every preprocessing that there is', async () => {
    const words = (await train('--help')).stdout.replaceAll(/\s+/g, ' ')
    for (const word of ['none', 'l2', 'standardise', 'signed power', 'pca:<components>', 'pca-whiten:<components>'])
      expect(words).toContain(word)
  })

  it('--help tells of every hyper-parameter as it is declared', async () => {
    const words = (await train('--help')).stdout.replaceAll(/\s+/g, ' ')
    for (const { id, params } of trainers) {
      expect(words).toContain(`${id}: `)
      for (const { name, help, ...spec } of params) {
        expect(words).toContain(`${name}=${spec.default} `)
        expect(words).toContain(help.replaceAll(/\s+/g, ' '))
      }
    }
  })
})

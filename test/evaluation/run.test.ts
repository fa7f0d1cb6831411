import { mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { groupDuplicates } from '../../src/evaluation/guards/group-duplicates.js'
import { foldBreaches } from '../../src/evaluation/guards/guards.js'
import { type ComparisonPlan, planComparison, planText } from '../../src/evaluation/plan/plan.js'
import { loadEvaluation } from '../../src/evaluation/results/load.js'
import { runComparison } from '../../src/evaluation/run.js'
import type { Model, Trainer } from '../../src/trainers/contract.js'
import { cloudTable } from './tables.js'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fc7-evaluation-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** What a spying trainer was given. */
interface Seen {
  readonly rows: number
  readonly ids: readonly string[]
  readonly x: Float32Array
}

/** Nearest class mean in plain code, which notes what it saw; no runtime, so these tests stay in this thread. */
function spy(seen: Seen[], fail: () => boolean = () => false): Trainer {
  const trainer: Trainer = {
    id: 'spy',
    title: 'Spy',
    summary: 'nearest mean',
    params: [{ name: 'shift', help: 'adds to the first class', type: 'number', default: 0, grid: [0, 1000] }],
    defaultPreprocess: 'standardise',
    estimatedBytes: () => 0,
    async fit(set, context): Promise<Model> {
      if (fail()) throw new Error('planned failure')
      seen.push({ rows: set.x.rows, ids: set.ids ?? [], x: set.x.data })
      const classes = set.classes.length
      const means = new Float64Array(classes * set.x.cols)
      const counts = new Float64Array(classes)
      for (let i = 0; i < set.x.rows; i++) {
        counts[set.y[i]!]!++
        for (let j = 0; j < set.x.cols; j++) means[set.y[i]! * set.x.cols + j]! += set.x.data[i * set.x.cols + j]!
      }
      const shift = context.params.get('shift') as number
      return {
        scoreKind: 'decision',
        async scores(x) {
          const out = new Float32Array(x.rows * classes)
          for (let i = 0; i < x.rows; i++)
            for (let k = 0; k < classes; k++) {
              let sum = 0
              for (let j = 0; j < x.cols; j++)
                sum += (x.data[i * x.cols + j]! - means[k * x.cols + j]! / counts[k]!) ** 2
              out[i * classes + k] = -sum + (k === 0 ? shift : 0)
            }
          return out
        },
        save: () => ({ config: {}, tensors: new Map() }),
        facts: { seen: set.x.rows },
      }
    },
    load() {
      throw new Error('not needed')
    },
  }
  return trainer
}

const without = { guards: { duplicates: false, suspects: true } } as const

async function compare(
  plan: ComparisonPlan,
  tables: Parameters<typeof planComparison>[0]['tables'],
  out: string,
  trainer: Trainer,
) {
  return runComparison(plan, { tables, out, findTrainer: () => trainer, ...without })
}

describe('planning', () => {
  const table = cloudTable({ classes: ['a', 'b', 'c'], perClass: 20 })
  const tables = [{ name: 'net', table }]
  const find = () => spy([])
  it('is plain data, equal for equal input, other for another seed', () => {
    const make = (seed: number) => planComparison({ tables, trainers: ['spy'], seed, findTrainer: find })
    expect(JSON.parse(JSON.stringify(make(1)))).toEqual(make(1))
    expect(planText(make(1)).hash).toBe(planText(make(1)).hash)
    expect(planText(make(1)).hash).not.toBe(planText(make(2)).hash)
    expect(make(1).datasets[0]!.protocol).toEqual({ kind: 'kfold', folds: 5, repeats: 1, grouped: false })
  })
  it('uses a test split once when there is one', () => {
    const split = (i: number) => (i < 30 ? 'train' : i < 40 ? 'val' : 'test') as 'train'
    const plan = planComparison({
      tables: [{ name: 'net', table: cloudTable({ classes: ['a', 'b'], perClass: 30, split }) }],
      trainers: ['spy'],
      findTrainer: find,
    })
    expect(plan.datasets[0]!.protocol).toEqual({ kind: 'holdout', split: 'test', train: ['train', 'val'] })
    expect(plan.datasets[0]!.folds).toMatchObject([{ id: 'holdout' }])
    expect(plan.datasets[0]!.folds[0]!.train.length).toBe(40)
  })
  it('refuses one class, no labels, unknown metrics and test images that the backbone was tuned on', () => {
    const one = { ...table, labels: table.labels.map(() => 'a'), classes: ['a'] }
    const plan = (over: object) => planComparison({ tables, trainers: ['spy'], findTrainer: find, ...over })
    expect(() => plan({ tables: [{ name: 'net', table: one }] })).toThrow('All 60 labelled images are "a"')
    expect(() => plan({ tables: [{ name: 'n', table: { ...table, labels: table.labels.map(() => null) } }] })).toThrow(
      'No image has a label',
    )
    expect(() => plan({ metric: 'cleverness' })).toThrow('cleverness')
    expect(() => plan({ tables: [{ ...tables[0], trainedOn: new Set(['3.png']) }] })).toThrow('fine-tuned on 1')
  })
  it('counts images without a label and leaves them out', () => {
    const labels = table.labels.map((label, i) => (i < 6 ? null : label))
    const plan = planComparison({
      tables: [{ name: 'n', table: { ...table, labels } }],
      trainers: ['spy'],
      findTrainer: find,
    })
    expect(plan.datasets[0]).toMatchObject({ items: 54, unlabelled: 6 })
  })
})

describe('an operating point', () => {
  const split = (i: number) => (i % 3 === 0 ? 'test' : 'train') as 'train'
  const made = (over: object = {}) => ({
    ...cloudTable({ classes: ['no', 'yes'], perClass: 60, gap: 0.5, views: 1, split }),
    ...over,
  })
  const run = async (name: string, table: ReturnType<typeof made>, over: object = {}) => {
    const seen: Seen[] = []
    const trainer = spy(seen)
    const tables = [{ name: 'net', table }]
    const operating = { kind: 'sensitivity', atLeast: 0.9 } as const
    const plan = planComparison({
      ...{ tables, trainers: ['spy'], resamples: 5, operating, findTrainer: () => trainer },
      ...over,
    })
    const { results } = await compare(plan, tables, join(folder, name), trainer)
    return { point: results[0]!.operating!, seen, plan }
  }

  it('is chosen on training images: what is tested has no part in it', async () => {
    const table = made()
    const honest = await run('operating', table)
    // Other labels and other embeddings of the tested images move the figures, never the threshold.
    const labels = table.labels.map((label, i) => (table.splits[i] === 'test' && i % 4 === 0 ? 'no' : label))
    const x = table.x.map((value, i) => (table.splits[Math.floor(i / table.dim)] === 'test' ? -value : value))
    const planted = await run('operating-planted', made({ labels, x }))
    expect(planted.point.thresholds).toEqual(honest.point.thresholds)
    expect(planted.point.sensitivity).not.toEqual(honest.point.sensitivity)
    // Five inner fits that see no tested image, then the fit itself.
    expect(honest.seen.map(({ rows }) => rows)).toEqual([128, 128, 128, 128, 128, 160])
    const tested = new Set(table.ids.filter((_, i) => table.splits[i] === 'test'))
    for (const { ids } of honest.seen) expect(ids.some((id) => tested.has(id))).toBe(false)
    expect(honest.point.rule).toContain('out-of-fold scores of its training images')
  })

  it('has a threshold in every fold, and needs no inner fit where it is given', async () => {
    const folds = await run('operating-folds', made({ splits: made().splits.map(() => null) }), { folds: 4 })
    expect(new Set(folds.point.thresholds).size).toBe(4)
    expect(folds.point.sensitivity.rows).toBe(60)
    expect(folds.seen.length).toBe(4 * 6)
    const given = await run('operating-given', made(), { operating: { kind: 'threshold', threshold: 0.25 } })
    expect(given.point.thresholds).toEqual([0.25])
    expect(given.seen.length).toBe(1)
  })

  it('keeps the decision of the classifier, and says so, where training images are too few to choose', async () => {
    const few = { protocol: 'few-shot', perClass: 1, draws: 3 }
    const { point } = await run('operating-few', made({ splits: made().splits.map(() => null) }), few)
    expect(point.thresholds).toEqual([0, 0, 0])
    expect(point.rule).toContain('3 of 3 fits had too few')
  })
})

describe('running', () => {
  it('tells the memory of fits that ran alone, and of no others', async () => {
    const tables = [{ name: 'net', table: cloudTable({ classes: ['a', 'b'], perClass: 20 }) }]
    const plan = planComparison({ tables, trainers: ['nearest-mean', 'knn'], resamples: 5 })
    const run = (threads: number) =>
      runComparison(plan, { tables, out: join(folder, `memory-${threads}`), threads, guards: false })
    const taken = ({ results }: Awaited<ReturnType<typeof run>>) =>
      results.flatMap(({ fits }) => fits.map(({ peakMemoryBytes }) => peakMemoryBytes))
    expect(taken(await run(1)).every((bytes) => typeof bytes === 'number')).toBe(true)
    expect(taken(await run(2))).toContain(null)
  })

  it('keeps fits, predictions and an evaluation that can be read again', async () => {
    const tables = [{ name: 'net', table: cloudTable({ classes: ['no', 'yes'], perClass: 30, gap: 0.8 }) }]
    const trainer = spy([])
    const plan = planComparison({ tables, trainers: ['spy'], curve: [0.5], resamples: 100, findTrainer: () => trainer })
    const out = join(folder, 'whole')
    const evaluation = await compare(plan, tables, out, trainer)
    const loaded = await loadEvaluation(out)
    expect(loaded.evaluation).toEqual(JSON.parse(JSON.stringify(evaluation)))
    const [result] = loaded.evaluation.results
    const [predictions] = loaded.predictions
    expect(predictions!.item.length).toBe(60)
    const right = predictions!.truth.filter((k, i) => k === predictions!.predicted[i]).length
    expect(result!.metrics.accuracy.value).toBeCloseTo(right / 60, 12)
    expect(result!.metrics.accuracy.low).toBeLessThan(right / 60)
    expect(result!.metrics['log-loss'].value).toBeNull()
    expect(result!.curve.map((point) => point.fraction)).toEqual([0.5, 1])
    expect(loaded.evaluation.datasets[0]!.positive).toEqual({ label: 'yes', source: 'inferred' })
    expect(result!.operating!.sensitivity.rows).toBe(30)
    expect(loaded.evaluation.datasets[0]!.majority.accuracy).toBe(0.5)
    expect(loaded.evaluation.words[0]).toContain('5-fold')
  })

  it('resumes after a failure without repeating finished fits, with the same predictions', async () => {
    const tables = [{ name: 'net', table: cloudTable({ classes: ['a', 'b'], perClass: 25 }) }]
    const seen: Seen[] = []
    let left = 3
    const trainer = spy(seen, () => left-- === 0)
    const plan = planComparison({ tables, trainers: ['spy'], resamples: 20, findTrainer: () => trainer })
    const out = join(folder, 'resumed')
    await expect(compare(plan, tables, out, trainer)).rejects.toThrow('planned failure')
    await expect(stat(join(out, 'evaluation.json'))).rejects.toThrow()
    await expect(loadEvaluation(out)).rejects.toThrow('not finished')
    expect(seen.length).toBe(3)
    // A torn pair counts as unfinished.
    const torn = (await readdir(join(out, 'fits'))).find((name) => name.endsWith('.arrow'))!
    await writeFile(join(out, 'fits', torn), 'torn')
    // What a killed process leaves behind.
    await writeFile(join(out, 'fits', `.${torn}.0123456789ab.tmp`), 'half')
    await compare(plan, tables, out, trainer)
    expect(seen.length).toBe(6)
    expect((await readdir(join(out, 'fits'))).filter((name) => name.endsWith('.tmp'))).toEqual([])
    const fresh = join(folder, 'fresh')
    await compare(plan, tables, fresh, spy([]))
    expect(await readFile(join(out, 'predictions-d0.arrow'))).toEqual(
      await readFile(join(fresh, 'predictions-d0.arrow')),
    )
    await compare(plan, tables, out, trainer)
    expect(seen.length).toBe(6)
  })

  it('refuses a folder that holds something else, and another plan', async () => {
    const tables = [{ name: 'net', table: cloudTable({ classes: ['a', 'b'], perClass: 10 }) }]
    const trainer = spy([])
    const plan = (seed: number) =>
      planComparison({ tables, trainers: ['spy'], seed, resamples: 5, findTrainer: () => trainer })
    const out = await mkdtemp(join(folder, 'taken-'))
    await writeFile(join(out, 'holiday.txt'), 'mine')
    await expect(compare(plan(1), tables, out, trainer)).rejects.toMatchObject({ code: 'OUT_TAKEN' })
    expect(await readdir(out)).toEqual(['holiday.txt'])
    await unlink(join(out, 'holiday.txt'))
    await compare(plan(1), tables, out, trainer)
    await expect(compare(plan(2), tables, out, trainer)).rejects.toMatchObject({ code: 'OUT_OTHER_PLAN' })
  })

  it('searches inside the folds only and keeps what the inner folds said', async () => {
    const tables = [{ name: 'net', table: cloudTable({ classes: ['a', 'b'], perClass: 20 }) }]
    const seen: Seen[] = []
    const trainer = spy(seen)
    const plan = planComparison({
      tables,
      trainers: ['spy'],
      tune: true,
      folds: 4,
      resamples: 5,
      findTrainer: () => trainer,
    })
    const evaluation = await compare(plan, tables, join(folder, 'tuned'), trainer)
    const fits = evaluation.results[0]!.fits
    for (const fit of fits) {
      expect(fit.trials.map((trial) => trial.scores.length)).toEqual([3, 3])
      expect(fit.params).toEqual([['shift', 0]])
      expect(fit.trials[0]!.mean).toBeGreaterThan(fit.trials[1]!.mean!)
    }
    expect(seen.length).toBe(4 * (2 * 3 + 1))
    expect(Math.max(...seen.map((one) => one.rows))).toBe(30)
  })
})

describe('planted faults', () => {
  it('duplicated rows across folds are caught by embedding and by hash', async () => {
    const table = cloudTable({ classes: ['a', 'b'], perClass: 20, dim: 32 })
    const x = table.x.slice()
    // Item 1 is a copy of item 5's image, of the same class; item 2 of item 0's up to noise, with a close hash.
    x.set(table.x.subarray(5 * 32, 6 * 32), 32)
    const dHashes = new Map(table.ids.map((id, i) => [id, `${(i + 1).toString(16).padStart(8, '5')}${'a7'.repeat(4)}`]))
    const twin = { ...table, x }
    const tables = [{ name: 'net', table: twin, dHashes }]
    const trainer = spy([])
    const plan = planComparison({ tables, trainers: ['spy'], resamples: 5, folds: 20, findTrainer: () => trainer })
    const evaluation = await runComparison(plan, { tables, out: join(folder, 'twins'), findTrainer: () => trainer })
    const found = evaluation.guards!.duplicates[0]!
    expect(found.pairs[0]).toMatchObject({ a: '1.png', b: '5.png', sameLabel: true })
    expect(found.pairs[0]!.cosine).toBeCloseTo(1, 6)
    const across = plan.datasets[0]!.folds.some((fold) => fold.test.includes(1) !== fold.test.includes(5))
    expect(found.across > 0).toBe(across)
    expect(evaluation.guards!.warnings.some((one) => one.code === 'DUPLICATES_ACROSS')).toBe(across)
    expect(across).toBe(true)
    const together = await groupDuplicates(tables, { rule: { hashBits: 0 } })
    expect(together.images).toBe(2)
    const grouped = planComparison({ tables: together.tables, trainers: ['spy'], findTrainer: () => trainer })
    expect(grouped.datasets[0]!.protocol).toMatchObject({ kind: 'kfold', grouped: true })
    for (const fold of grouped.datasets[0]!.folds) expect(fold.test.includes(1)).toBe(fold.test.includes(5))
  })

  it('preprocessing learns from training rows only', async () => {
    const table = cloudTable({ classes: ['a', 'b'], perClass: 20 })
    const seen: Seen[] = []
    const trainer = spy(seen)
    const tables = [{ name: 'net', table }]
    const plan = planComparison({ tables, trainers: ['spy'], folds: 4, resamples: 5, findTrainer: () => trainer })
    await compare(plan, tables, join(folder, 'inside'), trainer)
    // Standardised on exactly the rows it was given, every fit's columns have mean 0 and deviation 1; on all rows they
    // would not.
    for (const { x, rows } of seen) {
      for (let j = 0; j < table.dim; j++) {
        let sum = 0
        let squares = 0
        for (let i = 0; i < rows; i++) {
          sum += x[i * table.dim + j]!
          squares += x[i * table.dim + j]! ** 2
        }
        expect(Math.abs(sum / rows)).toBeLessThan(1e-5)
        expect(Math.abs(squares / rows - 1)).toBeLessThan(1e-4)
      }
    }
  })

  it('views train with their image, are never tested, and never train against it', async () => {
    // As stores with views do it, every image is grouped with its views under its own id.
    const table = cloudTable({ classes: ['a', 'b'], perClass: 12, views: 2, group: (item) => `${item}.png` })
    const seen: Seen[] = []
    const trainer = spy(seen)
    const tables = [{ name: 'net', table }]
    const plan = planComparison({ tables, trainers: ['spy'], folds: 3, resamples: 5, findTrainer: () => trainer })
    await compare(plan, tables, join(folder, 'views'), trainer)
    const loaded = await loadEvaluation(join(folder, 'views'))
    expect(plan.datasets[0]!.protocol).toEqual({ kind: 'kfold', folds: 3, repeats: 1, grouped: false })
    expect(loaded.items.get('d0')!.ids.length).toBe(24)
    expect(seen.map((one) => one.rows)).toEqual([48, 48, 48])
    seen.forEach((one) => {
      const fold = plan.datasets[0]!.folds.find((each) => !one.ids.includes(`${each.test[0]}.png`))!
      for (const item of fold.test)
        for (const id of [`${item}.png`, `${item}.png#1`, `${item}.png#2`]) expect(one.ids).not.toContain(id)
      for (const item of fold.train) expect(one.ids).toContain(`${item}.png#2`)
    })
    // A plan that was tampered with is not run.
    const faulty = structuredClone(plan) as { -readonly [K in keyof ComparisonPlan]: ComparisonPlan[K] }
    const fold = faulty.datasets[0]!.folds[0]!
    ;(fold.train as number[]).push(fold.test[0]!)
    expect(foldBreaches(faulty.datasets[0]!.folds, [])).toEqual([`Fold ${fold.id} trains on 1 of its own test images.`])
    await expect(compare(faulty, tables, join(folder, 'faulty'), trainer)).rejects.toMatchObject({ code: 'LEAK' })
  })
})

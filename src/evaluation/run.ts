import { Fc7Error, throwIfAborted } from '../base/errors.js'
import { type Progress, silentProgress } from '../base/progress.js'
import { createRandom } from '../base/random.js'
import type { Trainer } from '../trainers/contract.js'
import { getTrainer } from '../trainers/registry.js'
import { executeFits, type FitRun } from './fit/executor.js'
import { type KeptFit, keepFit, openEvaluationFolder, readFit, sweepEvaluation } from './fit/fit-files.js'
import type { FitJob, FitTable } from './fit/fit-job.js'
import { type GuardOptions, rowBreaches, runGuards } from './guards/guards.js'
import { choosesThreshold, thresholdFolds } from './metrics/operating-point.js'
import { type Items, itemsFingerprint, itemsOf, trainingRows } from './plan/items.js'
import {
  type ComparisonPlan,
  type ComparisonTable,
  type PlannedFit,
  type PlannedTrainer,
  planText,
} from './plan/plan.js'
import type { PlannedFold } from './plan/protocol.js'
import type { Evaluation } from './results/schema.js'
import { summarise } from './results/summary.js'
import { writeEvaluation } from './results/write.js'

export interface RunOptions {
  /** The very tables that were planned with. */
  readonly tables: readonly ComparisonTable[]
  readonly out: string
  /** Thread budget in all; default 1. */
  readonly threads?: number | undefined
  /** Memory that running fits may take together; default: half of what the machine has. */
  readonly memoryBytes?: number | undefined
  /** `false` runs the fits in this thread, one after the other (needed for trainers outside the registry). */
  readonly workers?: boolean | undefined
  readonly findTrainer?: ((id: string) => Trainer) | undefined
  readonly guards?: GuardOptions | false | undefined
  /** Command, versions and hashes to record for whoever wants to repeat this. */
  readonly provenance?: Evaluation['provenance'] | undefined
  readonly signal?: AbortSignal | undefined
  readonly progress?: Progress | undefined
}

/** A class-balanced random part of the training items, for trainers that cannot take more. */
export function limitedItems(train: readonly number[], y: Int32Array, most: number | null, seed: number): number[] {
  if (most === null || train.length <= most) return [...train]
  const queues = new Map<number, number[]>()
  for (const item of createRandom(seed).shuffled(train)) {
    const queue = queues.get(y[item]!)
    if (queue) queue.push(item)
    else queues.set(y[item]!, [item])
  }
  const chosen: number[] = []
  for (let round = 0; chosen.length < most; round++) {
    for (const queue of queues.values()) {
      const item = queue[round]
      if (item !== undefined && chosen.length < most) chosen.push(item)
    }
  }
  return chosen.sort((a, b) => a - b)
}

interface Joined {
  readonly input: ComparisonTable
  /** In the data set's own order of items. */
  readonly items: Items
  readonly dataset: ComparisonPlan['datasets'][number]
}

/** Pairs the plan's tables with those at hand and checks that they are the ones that were planned with. */
function join(plan: ComparisonPlan, tables: readonly ComparisonTable[]): Map<string, Joined> {
  return new Map(
    plan.tables.map((planned, t) => {
      const input = tables[t]
      const dataset = plan.datasets.find((one) => one.key === planned.dataset)!
      const items = input && itemsOf(input.table)
      const same =
        items &&
        planned.layer === input.table.layer &&
        planned.dim === input.table.dim &&
        itemsFingerprint(items) === dataset.fingerprint &&
        (planned.store === null || planned.store.planHash === input.store?.planHash)
      if (!same)
        throw new Fc7Error(
          'PLAN_TABLES',
          `The store behind "${planned.name}" is not the one the comparison was planned with.`,
          {
            hint: 'Plan again, or give the stores in the same order.',
          },
        )
      return [planned.key, { input, items, dataset }]
    }),
  )
}

/**
 * What a fit reads, from the plan's item numbers. @throws Fc7Error LEAK when it would train on a row of a test image
 */
export function fitJob(
  plan: ComparisonPlan,
  fit: PlannedFit,
  trainer: PlannedTrainer,
  fold: PlannedFold,
  { input, items, dataset }: Joined,
): FitJob {
  const unitNames = new Map<string, number>()
  const unitOf = (item: number): number => {
    const group = items.groups[item] ?? null
    const name = group === null ? `item ${item}` : `group ${group}`
    let unit = unitNames.get(name)
    if (unit === undefined) {
      unit = unitNames.size
      unitNames.set(name, unit)
    }
    return unit
  }
  const trainItems = limitedItems(fold.train, items.y, trainer.maxTrainItems, fit.seed)
  const rowsOf = trainItems.map((item) => trainingRows(items, [item]))
  const along = <T>(of: (item: number) => T): T[] => trainItems.flatMap((item, i) => rowsOf[i]!.map(() => of(item)))
  const positive = dataset.positive ? dataset.classes.indexOf(dataset.positive.label) : -1
  const trainRows = Int32Array.from(rowsOf.flat())
  const leaked = rowBreaches(trainRows, fold.test, items)[0]
  if (leaked !== undefined)
    throw new Fc7Error(
      'LEAK',
      `Fold ${fold.id} would train on ${input.table.ids[leaked]}, which it tests or which is a view of it.`,
      {
        hint: 'The plan is not one that fc7 makes; plan again.',
      },
    )
  return {
    id: fit.id,
    trainer,
    trainRows,
    trainY: Int32Array.from(along((item) => items.y[item]!)),
    trainUnits: Int32Array.from(along(unitOf)),
    trainIds: Array.from(trainRows, (row) => input.table.ids[row]!),
    originals: new Set(Array.from(trainRows.keys()).filter((place) => input.table.views[trainRows[place]!] === 0)),
    testRows: Int32Array.from(fold.test, (item) => items.rows[item]!),
    testIds: fold.test.map((item) => items.ids[item]!),
    classes: items.classes,
    positive: positive < 0 ? null : positive,
    metric: plan.metric,
    operating: plan.operating,
    seed: fit.seed,
    threads: 1,
  }
}

/**
 * Carries out a planned comparison: fits what is not finished yet, keeps each fit as a pair of files, then writes
 * predictions and `evaluation.json`. Predictions do not depend on threads, on the order of the fits, or on how often it
 * was interrupted.
 *
 * @throws Fc7Error OUT_TAKEN, OUT_OTHER_PLAN, PLAN_TABLES, errors of trainers; InterruptedError
 */
export async function runComparison(plan: ComparisonPlan, options: RunOptions): Promise<Evaluation> {
  const progress = options.progress ?? silentProgress
  const joined = join(plan, options.tables)
  const { hash } = planText(plan)
  await openEvaluationFolder(options.out, plan)
  const kept = new Map<string, KeptFit>()
  for (const fit of plan.fits) {
    const found = await readFit(options.out, hash, fit.id)
    if (found) kept.set(fit.id, found)
  }
  const pending = plan.fits.filter((fit) => !kept.has(fit.id))
  if (kept.size > 0 && pending.length > 0)
    progress.say(`${kept.size} of ${plan.fits.length} fits are finished already.`)
  await fitPending(plan, pending, kept, joined, hash, options, progress)
  throwIfAborted(options.signal, 'The comparison')
  const inputs = plan.tables.map((table) => joined.get(table.key)!)
  const summary = summarise(plan, inputs, kept, progress)
  const guards =
    options.guards === false ? null : await runGuards(plan, inputs, kept, summary, options.guards ?? {}, options)
  const evaluation = await writeEvaluation(options.out, plan, inputs, kept, { ...summary, guards }, options.provenance)
  await sweepEvaluation(options.out)
  return evaluation
}

/** Fits of inner folds that go with one fit. */
function innerFits({ operating }: ComparisonPlan, { tune }: PlannedTrainer): number {
  return (tune ? tune.candidates.length * tune.innerFolds : 0) + (choosesThreshold(operating) ? thresholdFolds : 0)
}

async function fitPending(
  plan: ComparisonPlan,
  pending: readonly PlannedFit[],
  kept: Map<string, KeptFit>,
  joined: ReadonlyMap<string, Joined>,
  hash: string,
  options: RunOptions,
  progress: Progress,
): Promise<void> {
  if (pending.length === 0) return
  const find = options.findTrainer ?? getTrainer
  const trainers = new Map(plan.trainers.map((trainer) => [trainer.key, trainer]))
  const folds = new Map(
    plan.datasets.flatMap((dataset) => dataset.folds.map((fold) => [`${dataset.key}/${fold.id}`, fold] as const)),
  )
  const tables = new Map<string, FitTable>(
    plan.tables.map((table) => [
      table.key,
      { x: joined.get(table.key)!.input.table.x, dim: table.dim, name: table.name, layer: table.layer },
    ]),
  )
  const runs = pending.map((fit): FitRun => {
    const table = joined.get(fit.table)!
    const fold = folds.get(`${table.dataset.key}/${fit.fold}`)!
    const trainer = trainers.get(fit.trainer)!
    return {
      table: fit.table,
      trainer: find(trainer.id),
      weight: fold.train.length * (1 + innerFits(plan, trainer)),
      job: () => fitJob(plan, fit, trainer, fold, table),
      finish: async (job, result, peakMemoryBytes) => {
        const items = Int32Array.from(fold.test)
        const whole = { ...result, peakMemoryBytes, trainRows: job.trainRows.length }
        kept.set(fit.id, await keepFit(options.out, hash, fit.id, whole, items, table.dataset.classes.length))
      },
    }
  })
  const task = progress.task({ label: 'Fitting', total: plan.fits.length, unit: 'fits' })
  task.update(kept.size)
  try {
    await executeFits(runs, tables, {
      threads: options.threads ?? 1,
      memoryBytes: options.memoryBytes,
      workers: options.workers ?? options.findTrainer === undefined,
      signal: options.signal,
      onDone: () => task.update(kept.size),
    })
  } finally {
    task.end()
  }
}

import { type Progress, silentProgress } from '../base/progress.js'
import { itemsOf } from '../evaluation/plan/items.js'
import { mean } from '../evaluation/statistics/intervals.js'
import { type CostRow, estimateCost } from './evidence/cost.js'
import { describeData, describeSource, weakScores } from './evidence/describe.js'
import type { AdviceInput } from './evidence/input.js'
import { curveAt, fitLearningCurve } from './evidence/learning-curve.js'
import { curveFractions, planAdvice } from './evidence/plan.js'
import { type Probe, type ProbeContext, probe, probeCurve } from './evidence/probe.js'
import { readSweep, type Sweep, testShareOf } from './evidence/sweep.js'
import type { Advice } from './rules/advice-file.js'
import { commandFor } from './rules/command.js'
import type { Facts, Strategy } from './rules/facts.js'
import { judge, strategyTitles } from './rules/verdict.js'

export interface AdviceOptions {
  readonly seed: number
  readonly threads: number
  readonly signal?: AbortSignal | undefined
  readonly progress?: Progress | undefined
  /** Epochs that the cost of training is estimated for. Default: those that each strategy trains by default. */
  readonly epochs?: number | undefined
}

/** Measures, judges and says what to do next: the whole of `fc7 advise` once the embeddings are there. */
export async function advise(input: AdviceInput, options: AdviceOptions): Promise<Advice> {
  const { seed, threads, progress = silentProgress } = options
  const last = input.depths.at(-1)!.table
  const items = itemsOf(last)
  const { sample, folds, curveFolds, fits, notes } = planAdvice(items, input.depths.length, seed)
  const context: ProbeContext = { seed, threads, signal: options.signal }
  const task = progress.task({ label: 'Probing', total: fits, unit: 'fits' })
  let done = 0
  const tick = (count: number): void => {
    done += count
    task.update(done)
  }
  const probes: Probe[] = []
  for (const { table } of input.depths) {
    probes.push(await probe(table, items, folds, context))
    tick(folds.length)
  }
  const own = probes.at(-1)!
  const smaller = await probeCurve(last, items, curveFolds, curveFractions, context)
  tick(curveFolds.length * curveFractions.length)
  task.end()
  const whole = { fraction: 1, rows: mean(folds.map((fold) => fold.train.length)) ?? 0, value: own.accuracy }
  const points = [...smaller, whole]
  const fit = fitLearningCurve(points) ?? null
  const doubling = fit ? Math.max(0, curveAt(fit, 2 * whole.rows) - curveAt(fit, whole.rows)) : null
  const sweep = readSweep(input.depths, probes, testShareOf(folds))
  const layers = [...sweep.rows]
  const boundary = boundaryOf(input, sweep)
  const data = await describeData(input, items, sample, options)
  const source = await describeSource(input, items, sample, threads)
  const cost = costOf(input, boundary?.shareAbove ?? 1, options.epochs)
  const facts = factsOf({ data, sweep, source, cost })
  const verdict = judge(facts)
  const chosen = decide(verdict.strategy, sweep, facts, boundary?.name ?? null)
  return {
    format: 1,
    data,
    backbone: { ...input.backbone, layer: last.layer },
    probe: {
      accuracy: own.accuracy,
      standardError: own.standardError,
      trainAccuracy: own.trainAccuracy,
      folds: [...own.folds],
    },
    curve: { points, fit, doubling },
    layers,
    bestLayer: sweep.best.name,
    source,
    weak: weakScores(last, items, sample, seed),
    cost,
    verdict: {
      ...verdict,
      doubts: [...verdict.doubts],
      evidence: [...verdict.evidence],
      wouldChange: [...verdict.wouldChange],
      ...chosen,
      headline: `Use ${strategyTitles[verdict.strategy]}.`,
      command: commandFor(verdict.strategy, chosen, input.words),
    },
    notes: [...notes, ...costNotes(input)],
    seed,
  }
}

/**
 * Up to where `last` freezes. Up to the layer that serves these images best the features are general, above it they are
 * the source's own (Yosinski 2014): where the sweep found such a layer, there; else where the network's last stage
 * begins.
 */
function boundaryOf(input: AdviceInput, { rows, general }: Sweep): { name: string; shareAbove: number } | null {
  if (general) return { name: general.name, shareAbove: input.depths[rows.indexOf(general)]!.shareAbove ?? 1 }
  if (input.boundary) return input.boundary
  const before = rows.at(-2)
  return before ? { name: before.name, shareAbove: 1 } : null
}

/** Which layer, where to freeze, whether to augment. */
function decide(
  strategy: Strategy,
  { rows, best }: Sweep,
  facts: Facts,
  boundary: string | null,
): Pick<Advice['verdict'], 'layer' | 'freezeUntil' | 'augment'> {
  const trains = strategy === 'last' || strategy === 'all' || strategy === 'scratch'
  return {
    layer: strategy === 'embeddings' ? best.name : rows.at(-1)!.name,
    freezeUntil: strategy === 'last' ? boundary : null,
    augment: trains ? facts.perClassMedian < 1000 : facts.gap >= 0.1 && facts.perClassMedian < 50,
  }
}

function costOf(input: AdviceInput, trainedShare: number, epochs: number | undefined): CostRow[] {
  if (input.pace === undefined) return []
  return estimateCost({
    images: input.depths.at(-1)!.table.rows,
    pace: input.pace,
    trainedShare,
    epochs,
    backward: input.backward,
  })
}

const costNotes = (input: AdviceInput): string[] =>
  input.pace === undefined ? ['No run of this network was measured on this machine, so costs are not estimated.'] : []

function factsOf(measured: Pick<Advice, 'data' | 'source' | 'cost'> & { readonly sweep: Sweep }): Facts {
  const { data, sweep, source, cost } = measured
  const { rows, best } = sweep
  const own = rows.at(-1)!
  const all = cost.find((row) => row.strategy === 'all')
  return {
    rows: data.images,
    perClassMedian: data.perClass.median,
    probe: best.accuracy,
    standardError: best.standardError,
    roomInErrors: (1 - best.accuracy) / Math.max(1e-9, best.standardError),
    probeTrain: best.trainAccuracy,
    gap: best.trainAccuracy - best.accuracy,
    errorLeft: Math.min(1, (1 - best.accuracy) / Math.max(1e-9, 1 - data.largestClass)),
    layers: rows.length,
    earlierLead: sweep.lead,
    earlierHolds: best === own ? 0 : 1,
    upperRemoves: sweep.upperRemoves === null ? null : Math.max(0, sweep.upperRemoves),
    like: sweep.like ? 1 : 0,
    unlike: sweep.general === null ? 0 : 1,
    entropy: source.entropy,
    frechet: source.frechet,
    allHours: all ? all.seconds / 3600 : null,
  }
}

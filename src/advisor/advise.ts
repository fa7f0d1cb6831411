import { type Progress, silentProgress } from '../base/progress.js'
import type { Pace } from '../embeddings/runs.js'
import type { EmbeddingTable } from '../embeddings/table.js'
import { findDuplicates } from '../evaluation/duplicates.js'
import { mean, quantile } from '../evaluation/intervals.js'
import { type Items, itemsOf } from '../evaluation/items.js'
import { correctedResampledT } from '../evaluation/significance.js'
import { pickRows } from '../trainers/gemm.js'
import type { Advice } from './advice.js'
import { type CommandWords, commandFor } from './command.js'
import { type CostRow, foreseeCost } from './cost.js'
import { frechetDistance, inSourceAxes, kernelDistance, meanEntropy, type SourceStatistics } from './distance.js'
import { curveAt, fitLearningCurve } from './learning-curve.js'
import { classCounts, curveFractions, openItems, planAdvice } from './plan.js'
import { itemSample, type Probe, type ProbeContext, probe, probeCurve } from './probe.js'
import type { Facts, Strategy } from './rules.js'
import { logMe, regularisedHScore } from './transferability.js'
import { judge, strategyTitles } from './verdict.js'

/** One depth of the network, as rows over the same pictures. */
export interface DepthTable {
  readonly table: EmbeddingTable
  /** 1 is the default layer. */
  readonly depth: number
}

export interface AdviceInput {
  readonly name: string
  readonly backbone: { readonly id: string; readonly recipe: string }
  /** From the first layer to the default one, which is the last. */
  readonly depths: readonly DepthTable[]
  /** The source classifier's own scores on the same pictures. */
  readonly scores?: EmbeddingTable
  readonly dHashes?: ReadonlyMap<string, string>
  readonly source?: { readonly about: string; readonly statistics: SourceStatistics }
  /** Where `last` would freeze by default: the end of the last stage but one; undefined where the network is not at hand. */
  readonly boundary?: { readonly name: string; readonly shareAbove: number }
  /** Of the network, see backwardOverForward() in cost.ts. */
  readonly backward?: number
  /** Of pictures through the network on this machine, as measured; undefined where it is unknown. */
  readonly pace?: Pace
  readonly words: CommandWords
}

export interface AdviceOptions {
  readonly seed: number
  readonly threads: number
  readonly signal?: AbortSignal
  readonly progress?: Progress
  /** Epochs that the cost of training is foreseen for. Default: those that each strategy trains by default. */
  readonly epochs?: number
}

/** Rows that LogME and the H-score are computed on: both need an eigenproblem of that size. */
const mostScored = 400

/** Measures, judges and says what to do next: the whole of `fc7 advise` once the embeddings are there. */
export async function advise(input: AdviceInput, options: AdviceOptions): Promise<Advice> {
  const { seed, threads, progress = silentProgress } = options
  const last = input.depths.at(-1)!.table
  const items = itemsOf(last)
  const { sample, folds, fits, notes } = planAdvice(items, input.depths.length, seed)
  const context: ProbeContext = { seed, threads, ...(options.signal ? { signal: options.signal } : {}) }
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
  const smaller = await probeCurve(last, items, folds, curveFractions, context)
  tick(folds.length * curveFractions.length)
  task.end()
  const whole = { fraction: 1, rows: mean(folds.map((fold) => fold.train.length)) ?? 0, value: own.accuracy }
  const points = [...smaller, whole]
  const fit = fitLearningCurve(points) ?? null
  const doubling = fit ? Math.max(0, curveAt(fit, 2 * whole.rows) - curveAt(fit, whole.rows)) : null
  const layers = input.depths.map(({ table, depth }, i) => {
    const differences = probes[i]!.folds.map((value, f) => value - own.folds[f]!)
    const test = i === probes.length - 1 ? null : correctedResampledT(differences, 1 / Math.max(1, folds.length - 1))
    const { accuracy, standardError, trainAccuracy } = probes[i]!
    return { name: table.layer, dim: table.dim, depth, accuracy, standardError, trainAccuracy, p: test?.p ?? null }
  })
  const data = await describeData(input, items, sample, options)
  const source = await describeSource(input, items, sample, threads)
  const cost = costOf(input, options.epochs)
  const facts = factsOf({ data, own, layers, source, cost })
  const verdict = judge(facts)
  const best = bestLayer(layers)
  const chosen = decide(verdict.strategy, layers, best, facts, input.boundary?.name ?? layers.at(-2)?.name ?? null)
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
    source,
    weak: weakScores(last, items, sample, seed),
    cost,
    verdict: {
      ...verdict,
      evidence: [...verdict.evidence],
      wouldChange: [...verdict.wouldChange],
      ...chosen,
      headline: `Use ${strategyTitles[verdict.strategy]}.`,
      command: commandFor(verdict.strategy, chosen, input.words, input.depths.length > 1),
    },
    notes: [...notes, ...costNotes(input)],
    seed,
  }
}

/** The layer to take embeddings from: the default one unless another is better beyond chance. */
function bestLayer(layers: Advice['layers']): Advice['layers'][number] {
  const own = layers.at(-1)!
  const better = layers.filter((layer) => layer.accuracy > own.accuracy && layer.p !== null && layer.p < 0.05)
  return better.sort((a, b) => b.accuracy - a.accuracy)[0] ?? own
}

/** Which layer, where to freeze, whether to augment. */
function decide(
  strategy: Strategy,
  layers: Advice['layers'],
  best: Advice['layers'][number],
  facts: Facts,
  boundary: string | null,
): Pick<Advice['verdict'], 'layer' | 'freezeUntil' | 'augment'> {
  const own = layers.at(-1)!
  const trains = strategy === 'last' || strategy === 'all' || strategy === 'scratch'
  return {
    layer: strategy === 'embeddings' ? best.name : own.name,
    // Up to the layer that transfers best the features are general (Yosinski 2014); above it they are retrained.
    freezeUntil: strategy === 'last' ? (best === own ? boundary : best.name) : null,
    augment: trains ? facts.perClassMedian < 1000 : facts.gap >= 0.1 && facts.perClassMedian < 50,
  }
}

async function describeData(
  input: AdviceInput,
  items: Items,
  sample: readonly number[],
  { threads, signal }: AdviceOptions,
): Promise<Advice['data']> {
  const { table } = input.depths.at(-1)!
  const open = openItems(items)
  const counts = [...classCounts(items, open).values()].sort((a, b) => a - b)
  const { pairs } = await findDuplicates(
    table.x,
    table.dim,
    sample.map((item) => items.rows[item]!),
    sample.map((item) => input.dHashes?.get(items.ids[item]!)),
    { threads, ...(signal ? { signal } : {}) },
  )
  const groups = new Set(open.map((item) => items.groups[item]!).filter((group) => group !== null))
  return {
    name: input.name,
    pictures: open.length,
    unlabelled: items.unlabelled,
    used: sample.length,
    classes: counts.length,
    usedClasses: new Set(sample.map((item) => items.y[item])).size,
    perClass: { median: quantile(counts, 0.5), least: counts[0]!, most: counts.at(-1)! },
    groups: groups.size,
    duplicates: pairs.length,
    largestClass: counts.at(-1)! / open.length,
  }
}

async function describeSource(
  input: AdviceInput,
  items: Items,
  sample: readonly number[],
  threads: number,
): Promise<Advice['source']> {
  const rowsOf = (table: EmbeddingTable) =>
    pickRows(
      { data: table.x, rows: table.rows, cols: table.dim },
      sample.map((item) => items.rows[item]!),
    )
  const entropy = input.scores ? meanEntropy(rowsOf(input.scores)) : null
  if (!input.source) {
    return {
      frechet: null,
      kernel: null,
      entropy,
      note: `There are no statistics of ${input.backbone.id}'s own training pictures at this layer and recipe, so the distance to them is not known.`,
    }
  }
  const { statistics, about } = input.source
  const moved = await inSourceAxes(rowsOf(input.depths.at(-1)!.table), statistics, threads)
  const variance = statistics.variances.reduce((sum, value) => sum + value, 0)
  return {
    frechet: frechetDistance(moved, statistics.variances) / variance,
    kernel: kernelDistance(statistics.sample, moved),
    entropy,
    note: `Measured against ${about}, on ${statistics.variances.length} principal components, in parts of their variance.`,
  }
}

/** LogME and the H-score of a seeded part of the rows. */
function weakScores(table: EmbeddingTable, items: Items, sample: readonly number[], seed: number): Advice['weak'] {
  const chosen = itemSample(items, sample, mostScored, seed)
  const place = new Map<number, number>()
  const y = chosen.map((item) => {
    const k = items.y[item]!
    if (!place.has(k)) place.set(k, place.size)
    return place.get(k)!
  })
  const { data, rows, cols } = pickRows(
    { data: table.x, rows: table.rows, cols: table.dim },
    chosen.map((item) => items.rows[item]!),
  )
  const set = { x: data, rows, cols, y, classes: place.size }
  return { logMe: logMe(set), hScore: regularisedHScore(set), rows }
}

function costOf(input: AdviceInput, epochs: number | undefined): CostRow[] {
  if (input.pace === undefined) return []
  return foreseeCost({
    pictures: input.depths.at(-1)!.table.rows,
    pace: input.pace,
    trainedShare: input.boundary?.shareAbove ?? 1,
    ...(epochs === undefined ? {} : { epochs }),
    ...(input.backward === undefined ? {} : { backward: input.backward }),
  })
}

const costNotes = (input: AdviceInput): string[] =>
  input.pace === undefined ? ['No run of this network was measured on this machine, so costs are not foreseen.'] : []

function factsOf(measured: {
  readonly data: Advice['data']
  readonly own: Probe
  readonly layers: Advice['layers']
  readonly source: Advice['source']
  readonly cost: readonly CostRow[]
}): Facts {
  const { data, own, layers, source, cost } = measured
  const inner = layers.slice(0, -1)
  const lead = inner.length === 0 ? null : Math.max(0, ...inner.map((layer) => layer.accuracy - own.accuracy))
  const all = cost.find((row) => row.strategy === 'all')
  return {
    rows: data.pictures,
    perClassMedian: data.perClass.median,
    probe: own.accuracy,
    probeTrain: own.trainAccuracy,
    gap: own.trainAccuracy - own.accuracy,
    errorLeft: Math.min(1, (1 - own.accuracy) / Math.max(1e-9, 1 - data.largestClass)),
    earlierLead: lead,
    earlierHolds: lead === null ? null : bestLayer(layers) === layers.at(-1) ? 0 : 1,
    entropy: source.entropy,
    frechet: source.frechet,
    allHours: all ? all.seconds / 3600 : null,
  }
}

import { displayNames, visible } from '../../base/escape.js'
import { formatCount, formatDifference, formatP, formatValue, joinWords } from './format.js'
import type { ReportInput, ReportMetric } from './input.js'
import type { RankedRecord, Verdict } from './record.js'

function valueIn(entry: RankedRecord, metric: string) {
  return entry.values.find((value) => value.metric === metric)
}

/**
 * Data set by data set, best first by the primary metric; baselines stand among the others but get no rank. Ties keep
 * the order given.
 */
export function rank(input: ReportInput, metric: ReportMetric): RankedRecord[] {
  const sign = metric.higherIsBetter ? 1 : -1
  const key = (candidate: ReportInput['candidates'][number]): number => {
    const value = candidate.metrics.find((entry) => entry.metric === metric.id)?.value
    return value === undefined || Number.isNaN(value) ? Number.NEGATIVE_INFINITY : sign * value
  }
  // One trainer on one backbone stands once in each data set.
  const titles = new Map(
    input.datasets.flatMap((_, dataset) => {
      const own = input.candidates.filter((candidate) => candidate.dataset === dataset)
      const names = displayNames(own.map(({ title }) => title))
      return own.map(({ id }, i) => [id, names[i]!] as const)
    }),
  )
  const next = new Map<number, number>()
  const nextRank = (dataset: number): number => {
    next.set(dataset, (next.get(dataset) ?? 0) + 1)
    return next.get(dataset)!
  }
  return input.candidates
    .map((candidate, at) => ({ candidate, at, key: key(candidate) }))
    .sort((a, b) => a.candidate.dataset - b.candidate.dataset || (a.key === b.key ? a.at - b.at : b.key - a.key))
    .map(
      ({ candidate }): RankedRecord => ({
        ...(candidate.baseline ? {} : { rank: nextRank(candidate.dataset) }),
        id: candidate.id,
        title: titles.get(candidate.id)!,
        dataset: candidate.dataset,
        baseline: candidate.baseline,
        values: candidate.metrics,
        facts: candidate.facts.map(({ name, value }) => ({ name: visible(name), value: visible(value) })),
        fitSeconds: candidate.fitSeconds,
        predictSeconds: candidate.predictSeconds,
        modelBytes: candidate.modelBytes,
        peakBytes: candidate.peakBytes,
      }),
    )
}

/**
 * The winner in words, and whether it is one: its lead over every other candidate must hold in the tests given. Where
 * the evaluation says it in sentences, those follow the headline; of several data sets each gets its own.
 */
export function judge(input: ReportInput, ranking: readonly RankedRecord[], metric: ReportMetric): Verdict {
  const given = input.sentences.map(visible)
  const each = input.datasets.map((dataset, at) => ({
    name: visible(dataset.name),
    verdict: judgeOne(
      input,
      ranking.filter((entry) => entry.dataset === at),
      metric,
    ),
  }))
  const only = each[0]?.verdict
  if (each.length === 1 && only) return given.length === 0 ? only : { ...only, sentences: given }
  return {
    kind: each.length > 0 && each.every(({ verdict }) => verdict.kind === 'winner') ? 'winner' : 'tie',
    headline: headlineOf(each),
    sentences: given.length > 0 ? given : each.flatMap(({ verdict }) => verdict.sentences),
  }
}

/** Of several data sets: the winners with their data sets, and where there is none. */
function headlineOf(each: readonly { readonly name: string; readonly verdict: Verdict }[]): string {
  const won = each.filter(({ verdict }) => verdict.kind === 'winner')
  const open = each.filter(({ verdict }) => verdict.kind !== 'winner')
  const said = won.map(({ name, verdict }) => `On ${name} ${verdict.headline}`)
  if (open.length > 0) said.push(`No clear winner on ${joinWords(open.map(({ name }) => name))}.`)
  return said.join(' ')
}

function judgeOne(input: ReportInput, ranking: readonly RankedRecord[], metric: ReportMetric): Verdict {
  const real = ranking.filter((entry) => !entry.baseline)
  const best = real[0]
  const top = best && valueIn(best, metric.id)
  if (best === undefined || top === undefined) {
    return { kind: 'empty', headline: 'There is nothing to rank yet.', sentences: [] }
  }
  const said = `${formatValue(top.value, metric.format)}`
  const range =
    top.low === undefined || top.high === undefined
      ? ''
      : `, interval ${formatValue(top.low, metric.format, false)} to ${formatValue(top.high, metric.format)}`
  const name = metric.title.toLowerCase()
  const measured = `${best.title} reaches ${said} ${name}${range}.`
  const against = baselineSentence(best, ranking, metric, input)
  const others = real.slice(1)
  if (others.length === 0) {
    return {
      kind: 'single',
      headline: measured,
      sentences: [...against, 'Nothing else was compared, so this names no winner.'],
    }
  }
  const pairs = others.map((other) => ({ other, found: comparisonOf(input, best.id, other.id, metric) }))
  const tested = pairs.filter(({ found }) => found !== undefined)
  if (tested.length === 0) {
    return {
      kind: 'untested',
      headline: `${best.title} comes out first, untested.`,
      sentences: [measured, ...against, 'No significance test was run, so the order may be chance.'],
    }
  }
  const apart = tested.filter(({ found }) => found!.holds && found!.difference * (metric.higherIsBetter ? 1 : -1) > 0)
  const near = pairs.filter((pair) => !apart.includes(pair))
  if (near.length === 0) {
    const second = tested[0]!
    return {
      kind: 'winner',
      headline: `${best.title} wins.`,
      sentences: [
        measured,
        `Its lead over each of the ${others.length === 1 ? 'one other candidate' : `${others.length} others`} holds after ` +
          `adjustment; over the next, ${second.other.title}, it is ` +
          `${formatDifference(second.found!.difference, metric.format)}${points(metric)} (p ` +
          `${equals(second.found!.pAdjusted)}).`,
        ...against,
      ],
    }
  }
  const listed = near.slice(0, 4).map(({ other }) => other.title)
  if (near.length > 4) listed.push(`${near.length - 4} more`)
  return {
    kind: 'tie',
    headline: `${best.title} comes out first, but it is not a clear winner.`,
    sentences: [
      measured,
      `Its difference from ${joinWords(listed)} could be chance` +
        (apart.length === 0 ? '.' : `; its lead over the other ${apart.length} holds.`),
      ...against,
    ],
  }
}

function points(metric: ReportMetric): string {
  return metric.format === 'percent' ? ' points' : ''
}

function equals(p: number): string {
  const text = formatP(p)
  return text.startsWith('<') ? text : `= ${text}`
}

/** The comparison of `a` with `b` on the metric, turned so that the difference is a − b. */
function comparisonOf(input: ReportInput, a: string, b: string, metric: ReportMetric) {
  for (const entry of input.comparisons) {
    if (entry.metric !== metric.id) continue
    if (entry.a === a && entry.b === b) return entry
    if (entry.a === b && entry.b === a) return { ...entry, difference: -entry.difference }
  }
  return undefined
}

function baselineSentence(
  best: RankedRecord,
  ranking: readonly RankedRecord[],
  metric: ReportMetric,
  input: ReportInput,
): string[] {
  const said: string[] = []
  const baseline = ranking.find((entry) => entry.baseline && entry.dataset === best.dataset)
  const value = baseline && valueIn(baseline, metric.id)
  if (baseline && value) {
    said.push(`The best baseline (${baseline.title}) reaches ${formatValue(value.value, metric.format)}.`)
  }
  const outcome = input.candidates.find((candidate) => candidate.id === best.id)?.outcome
  const dataset = input.datasets[best.dataset]
  if (outcome && dataset) {
    said.push(
      `It was tested on ${formatCount(outcome.rows.length)} images of ${formatCount(dataset.classes.length)} classes that ` +
        'it had not been trained on.',
    )
  }
  return said
}

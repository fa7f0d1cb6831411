import { Fc7Error } from '../../base/errors.js'
import { displayNames, visible } from '../../base/escape.js'
import { analyseCandidate, type ShownNames } from './detail.js'
import type { ReportFact, ReportInput } from './input.js'
import type { DetailRecord, ReportRecord } from './record.js'
import { judge, rank } from './verdict.js'

const suspectsShown = 60
const duplicatesShown = 60

/** {@link visible} of a text that may be missing. */
const shownText = (text: string | undefined): string | undefined => (text === undefined ? undefined : visible(text))

/** What {@link analyseReport} makes: the record, and the names as shown, by data set. */
export interface Analysis {
  readonly record: ReportRecord
  readonly shown: readonly ShownNames[]
}

/** Turns input into everything the report will say. Pure; throws REPORT_INPUT where an index points nowhere. */
export function analyseReport(input: ReportInput): Analysis {
  checkInput(input)
  const metric = input.metrics.find((entry) => entry.id === input.primaryMetric)!
  const shown = input.datasets.map((dataset) => ({
    classes: displayNames(dataset.classes),
    ids: dataset.ids.map(visible),
  }))
  const ranking = rank(input, metric)
  const titles = new Map(ranking.map((entry) => [entry.id, entry.title]))
  const byId = new Map(input.candidates.map((candidate) => [candidate.id, candidate]))
  const details = ranking.flatMap(({ id, title }): DetailRecord[] => {
    const candidate = byId.get(id)!
    if (candidate.outcome === undefined) return []
    const dataset = input.datasets[candidate.dataset]!
    const detail = analyseCandidate(candidate, candidate.outcome, dataset, shown[candidate.dataset]!)
    return [{ ...detail, title: input.datasets.length > 1 ? `${title}, ${visible(dataset.name)}` : title }]
  })
  const limits: string[] = []
  if (input.suspects.length > suspectsShown) {
    limits.push(`The ${suspectsShown} most suspicious of ${input.suspects.length} label suspects are shown.`)
  }
  if (input.duplicates.length > duplicatesShown) {
    limits.push(`The first ${duplicatesShown} of ${input.duplicates.length} duplicate pairs are shown.`)
  }
  const { provenance } = input
  const record: ReportRecord = {
    format: 1,
    kind: 'fc7-report',
    title: visible(input.title),
    created: shownText(input.created),
    verdict: judge(input, ranking, metric),
    primaryMetric: metric.id,
    metrics: input.metrics.map((entry) => ({ ...entry, title: visible(entry.title) })),
    datasets: input.datasets.map((dataset, at) => {
      const counts = new Array<number>(dataset.classes.length).fill(0)
      let unlabelled = 0
      for (const label of dataset.labels) {
        if (label >= 0) counts[label]!++
        else unlabelled++
      }
      return {
        name: visible(dataset.name),
        rows: dataset.ids.length,
        classes: shown[at]!.classes.map((name, c) => ({ name, rows: counts[c]! })),
        unlabelled,
        positive: shownText(dataset.positive),
      }
    }),
    ranking,
    comparisons: input.comparisons.map((entry) => ({
      ...entry,
      dataset: byId.get(entry.a)?.dataset ?? 0,
      a: titles.get(entry.a) ?? visible(entry.a),
      b: titles.get(entry.b) ?? visible(entry.b),
      test: visible(entry.test),
    })),
    testName: shownText(input.testName),
    details,
    protocol: input.protocol.map(visible),
    warnings: input.warnings.map(({ level, text }) => ({ level, text: visible(text) })),
    suspects: [...input.suspects]
      .sort((a, b) => b.score - a.score || a.dataset - b.dataset || a.row - b.row)
      .slice(0, suspectsShown)
      .map((suspect) => ({
        dataset: suspect.dataset,
        row: suspect.row,
        id: shown[suspect.dataset]!.ids[suspect.row]!,
        label: labelOf(input, shown, suspect.dataset, suspect.row),
        suggested: shown[suspect.dataset]!.classes[suspect.suggested]!,
        score: suspect.score,
      })),
    duplicates: input.duplicates.slice(0, duplicatesShown).map((pair) => ({
      dataset: pair.dataset,
      a: pair.a,
      b: pair.b,
      idA: shown[pair.dataset]!.ids[pair.a]!,
      idB: shown[pair.dataset]!.ids[pair.b]!,
      labelA: labelOf(input, shown, pair.dataset, pair.a),
      labelB: labelOf(input, shown, pair.dataset, pair.b),
      cosine: pair.cosine,
      bits: pair.bits,
      where: shownText(pair.where),
    })),
    duplicateRule: shownText(input.duplicateRule),
    provenance: {
      command: shownText(provenance.command),
      seed: shownText(provenance.seed),
      // Line ends are the one control character that a file's text keeps.
      ...(provenance.experiment === undefined
        ? {}
        : { experiment: provenance.experiment.split(/\r?\n/).map(visible).join('\n') }),
      versions: facts(provenance.versions),
      hashes: facts(provenance.hashes),
      machine: facts(provenance.machine),
    },
    limits,
  }
  return { record, shown }
}

function facts(entries: readonly ReportFact[]): ReportFact[] {
  return entries.map(({ name, value }) => ({ name: visible(name), value: visible(value) }))
}

function labelOf(input: ReportInput, shown: readonly ShownNames[], dataset: number, row: number): string {
  const label = input.datasets[dataset]!.labels[row]!
  return label < 0 ? '(no label)' : shown[dataset]!.classes[label]!
}

function checkInput(input: ReportInput): void {
  const wrong = (what: string): never => {
    throw new Fc7Error('REPORT_INPUT', `The report's input is not consistent: ${what}.`, {
      hint: 'Run the comparison again; its folder may be from another version or incomplete.',
    })
  }
  if (!input.metrics.some((metric) => metric.id === input.primaryMetric)) wrong(`no metric ${input.primaryMetric}`)
  input.datasets.forEach((dataset) => {
    if (dataset.labels.length !== dataset.ids.length) wrong(`${dataset.name} has more or fewer labels than images`)
    for (const label of dataset.labels) {
      if (label < -1 || label >= dataset.classes.length) wrong(`a label of ${dataset.name} names no class`)
    }
  })
  if (new Set(input.candidates.map(({ id }) => id)).size !== input.candidates.length)
    wrong('two candidates share an id')
  for (const candidate of input.candidates) {
    const dataset = input.datasets[candidate.dataset] ?? wrong(`${candidate.id} has no data set`)
    const outcome = candidate.outcome
    if (outcome === undefined) continue
    const n = outcome.rows.length
    if (outcome.predicted.length !== n) wrong(`${candidate.id} has ${n} rows but other predictions`)
    if (outcome.scores !== undefined && outcome.scores.length !== n * dataset.classes.length) {
      wrong(`the scores of ${candidate.id} have another size`)
    }
    for (let i = 0; i < n; i++) {
      if (!(outcome.rows[i]! >= 0 && outcome.rows[i]! < dataset.ids.length)) wrong(`${candidate.id} tests no such row`)
      if (!(outcome.predicted[i]! >= 0 && outcome.predicted[i]! < dataset.classes.length)) {
        wrong(`${candidate.id} predicts no such class`)
      }
    }
  }
  const row = (dataset: number, at: number): boolean => at >= 0 && at < (input.datasets[dataset]?.ids.length ?? 0)
  for (const { dataset, row: at, suggested } of input.suspects) {
    if (!row(dataset, at) || !(suggested >= 0 && suggested < input.datasets[dataset]!.classes.length)) {
      wrong('a label suspect is no row')
    }
  }
  for (const { dataset, a, b } of input.duplicates) {
    if (!row(dataset, a) || !row(dataset, b)) wrong('a duplicate is no row')
  }
}

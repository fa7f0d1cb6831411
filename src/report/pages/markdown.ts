import { markdown } from '../../base/escape.js'
import { formatBytes, formatDifference, formatP, formatSeconds, formatValue } from '../data/format.js'
import type { ReportMetric } from '../data/input.js'
import type { DetailRecord, RankedRecord, ReportRecord } from '../data/record.js'

const matrixClasses = 15
const listed = 10

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '--:'))), ...rows.map(line)].join('\n')
}

function value(entry: RankedRecord, metric: ReportMetric): string {
  const found = entry.values.find((candidate) => candidate.metric === metric.id)
  if (found === undefined) return '–'
  const range =
    found.low === undefined || found.high === undefined
      ? ''
      : ` (${formatValue(found.low, metric.format, false)}–${formatValue(found.high, metric.format, false)})`
  return `${formatValue(found.value, metric.format)}${range}`
}

/** The report as Markdown: the same words and numbers, without images. */
export function renderMarkdown(record: ReportRecord): string {
  const metrics = record.metrics.filter(({ id }) => record.ranking.some((e) => e.values.some((v) => v.metric === id)))
  const ordered = [...metrics].sort(
    (a, b) => Number(b.id === record.primaryMetric) - Number(a.id === record.primaryMetric),
  )
  const within = (dataset: number): string =>
    record.datasets.length > 1 ? `${markdown(record.datasets[dataset]!.name)}: ` : ''
  const parts: string[] = [`# ${markdown(record.title)}`, `**${markdown(record.verdict.headline)}**`]
  parts.push(...record.verdict.sentences.map(markdown))
  if (record.warnings.length > 0) {
    parts.push(record.warnings.map(({ level, text }) => `- ${level}: ${markdown(text)}`).join('\n'))
  }
  parts.push(
    '## Ranking',
    table(
      ['candidate', ...ordered.map(({ title }) => markdown(title)), 'fit', 'predict', 'model'],
      record.ranking.map((entry) => [
        `${within(entry.dataset)}${entry.rank === undefined ? '' : `${entry.rank}. `}${markdown(entry.title)}${entry.baseline ? ' (baseline)' : ''}`,
        ...ordered.map((metric) => value(entry, metric)),
        formatSeconds(entry.fitSeconds),
        formatSeconds(entry.predictSeconds),
        formatBytes(entry.modelBytes),
      ]),
    ),
  )
  if (record.comparisons.length > 0) {
    const formats = new Map(record.metrics.map((metric) => [metric.id, metric]))
    parts.push(
      '## Which differences hold',
      ...(record.testName === undefined ? [] : [`${markdown(record.testName)}.`]),
      table(
        ['pair', 'metric', 'difference', 'p', 'p, adjusted', 'verdict'],
        record.comparisons.map((entry) => [
          `${within(entry.dataset)}${markdown(entry.a)} − ${markdown(entry.b)}`,
          markdown(formats.get(entry.metric)?.title ?? entry.metric),
          formatDifference(entry.difference, formats.get(entry.metric)?.format ?? 'number'),
          markdown(formatP(entry.p)),
          markdown(formatP(entry.pAdjusted)),
          entry.holds ? 'holds' : 'could be chance',
        ]),
      ),
    )
  }
  for (const detail of record.details) if (!detail.baseline) parts.push(...candidate(detail))
  if (record.suspects.length > 0) {
    parts.push(
      '## Labels to check',
      record.suspects
        .map((s) => `- ${markdown(s.id)}: labelled ${markdown(s.label)}, looks like ${markdown(s.suggested)}`)
        .join('\n'),
    )
  }
  if (record.duplicates.length > 0) {
    parts.push(
      '## Near-duplicates',
      ...(record.duplicateRule === undefined ? [] : [`${markdown(record.duplicateRule)}.`]),
      record.duplicates
        .map(
          (d) => `- ${markdown(d.idA)} and ${markdown(d.idB)}${d.where === undefined ? '' : `, ${markdown(d.where)}`}`,
        )
        .join('\n'),
    )
  }
  parts.push('## How to get this again', ...record.protocol.map(markdown))
  const { provenance } = record
  if (provenance.command !== undefined) parts.push(fence(provenance.command))
  if (provenance.experiment !== undefined) parts.push(fence(provenance.experiment))
  const facts = [
    ...(provenance.seed === undefined ? [] : [{ name: 'seed', value: provenance.seed }]),
    ...provenance.versions,
    ...provenance.hashes,
    ...provenance.machine,
  ]
  if (facts.length > 0) parts.push(facts.map((fact) => `- ${markdown(fact.name)}: ${markdown(fact.value)}`).join('\n'))
  return `${parts.join('\n\n')}\n`
}

/** A code block whose fence is longer than any run of backticks inside. */
function fence(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length))
  const ticks = '`'.repeat(longest + 1)
  return `${ticks}\n${text}\n${ticks}`
}

function candidate(detail: DetailRecord): string[] {
  const parts = [`## ${markdown(detail.title)}`, `${detail.right} of ${detail.rows} images right.`]
  parts.push(
    table(
      ['class', 'images', 'precision', 'recall', 'F1', 'ROC-AUC', 'average precision'],
      detail.classes.map((c) => [
        markdown(c.name),
        String(c.support),
        formatValue(c.precision, 'percent'),
        formatValue(c.recall, 'percent'),
        c.f1.toFixed(3),
        formatValue(c.rocAuc, 'number'),
        formatValue(c.averagePrecision, 'number'),
      ]),
    ),
  )
  if (detail.classes.length <= matrixClasses) {
    parts.push(
      'Confusion (rows are labels, columns what the images were called):',
      table(
        ['', ...detail.classes.map(({ name }) => markdown(name))],
        detail.confusion.map((row, label) => [markdown(detail.classes[label]!.name), ...row.map(String)]),
      ),
    )
  }
  if (detail.calibration) parts.push(`Expected calibration error: ${detail.calibration.error.toFixed(3)}.`)
  if (detail.mistakes.length > 0) {
    parts.push(
      'Worst mistakes:',
      detail.mistakes
        .slice(0, listed)
        .map((m) => {
          const sure = m.confidence === null ? '' : ` (${formatValue(m.confidence, 'percent')} sure)`
          return `- ${markdown(m.id)}: ${markdown(m.label)} called ${markdown(m.predicted)}${sure}`
        })
        .join('\n'),
    )
  }
  return parts
}

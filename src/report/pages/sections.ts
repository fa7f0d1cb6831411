import { html } from '../../base/escape.js'
import { renderChart } from '../charts/charts.js'
import { costSpec, intervalLabel, intervalSpec } from '../charts/specs.js'
import {
  formatBytes,
  formatCount,
  formatDifference,
  formatP,
  formatSeconds,
  formatValue,
  joinWords,
} from '../data/format.js'
import type { ReportMetric } from '../data/input.js'
import type { RankedRecord, ReportRecord } from '../data/record.js'
import type { DrawnMap } from '../shell/client-data.js'
import { factList } from './candidate-section.js'

export function summarySection(record: ReportRecord): string {
  const { verdict, datasets } = record
  const images = datasets.reduce((sum, dataset) => sum + dataset.rows, 0)
  const facts: [string, string][] = [
    [datasets.length === 1 ? 'data set' : 'data sets', joinWords(datasets.map(({ name }) => name))],
    ['images', formatCount(images)],
    ['classes', joinWords([...new Set(datasets.map(({ classes }) => formatCount(classes.length)))])],
    ['candidates', formatCount(record.ranking.filter(({ baseline }) => !baseline).length)],
    ...(record.created === undefined ? [] : [['finished', shortDate(record.created)] as [string, string]]),
  ]
  const warnings = record.warnings.map(
    ({ level, text }) => `<li class="${level}"><b>${level === 'warning' ? 'Warning' : 'Note'}.</b> ${html(text)}</li>`,
  )
  return `<header id="summary"><p class="eyebrow">fc7 evaluation</p><h1>${html(record.title)}</h1>
<p class="headline" role="heading" aria-level="2">${html(verdict.headline)}</p>
${verdict.sentences.map((sentence) => `<p class="lead">${html(sentence)}</p>`).join('')}
<dl class="facts">${facts.map(([name, value]) => `<div><dt>${html(name)}</dt><dd>${html(value)}</dd></div>`).join('')}</dl>
${warnings.length === 0 ? '' : `<ul class="warn" aria-label="Warnings">${warnings.join('')}</ul>`}</header>`
}

function shortDate(iso: string): string {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(iso) ? `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC` : iso
}

function interval(entry: RankedRecord, metric: ReportMetric): string {
  const found = entry.values.find((value) => value.metric === metric.id)
  if (found === undefined) return '–'
  const range =
    found.low === undefined || found.high === undefined
      ? ''
      : `<span class="iv">${html(formatValue(found.low, metric.format, false))}–${html(formatValue(found.high, metric.format, false))}</span>`
  return `${html(formatValue(found.value, metric.format, false))}${range}`
}

/** Metrics in the first table; the others stand in a second one, folded. */
const firstMetrics = 5
/** Pairwise tests shown before the rest is folded. */
const firstTests = 12
/** Longer tables that are folded away are not opened for print. */
const longTable = 40

function rankingTable(record: ReportRecord, metrics: readonly ReportMetric[], primary: ReportMetric): string {
  const several = record.datasets.length > 1
  const head = metrics.map(
    (metric) => `<th scope="col">${html(metric.title)}${metric.format === 'percent' ? ', %' : ''}</th>`,
  )
  const rows = record.ranking.map((entry) => {
    const cells = metrics.map(
      (metric) => `<td${metric.id === primary.id ? ' class="main"' : ''}>${interval(entry, metric)}</td>`,
    )
    const place = record.details.findIndex(({ id }) => id === entry.id)
    const name = place < 0 ? html(entry.title) : `<a href="#trainer-${place + 1}">${html(entry.title)}</a>`
    return (
      `<tr class="${entry.baseline ? 'base' : entry.rank === 1 ? 'best' : ''}"><td>${entry.rank ?? ''}</td><th scope="row" class="name">${name}` +
      `${entry.baseline ? ' (baseline)' : ''}</th>${several ? `<td class="l">${html(record.datasets[entry.dataset]!.name)}</td>` : ''}${cells.join('')}</tr>`
    )
  })
  return `<div class="scroll" tabindex="0" role="region" aria-label="Ranking: ${html(metrics.map(({ title }) => title).join(', '))}"><table class="plain"><thead><tr><th scope="col">#</th>
<th class="name" scope="col">candidate</th>${several ? '<th class="l" scope="col">data set</th>' : ''}${head.join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`
}

/** What baselines reach, for the chart that leaves them out. */
function baselineCaption(record: ReportRecord, primary: ReportMetric): string {
  const said = record.ranking.flatMap((entry) => {
    const found = entry.values.find(({ metric }) => metric === primary.id)
    const where = record.datasets.length > 1 ? ` on ${record.datasets[entry.dataset]!.name}` : ''
    return entry.baseline && found ? [`${entry.title} ${formatValue(found.value, primary.format)}${where}`] : []
  })
  return said.length === 0 ? '' : `Baselines, not drawn: ${said.join('; ')}.`
}

export async function rankingSection(record: ReportRecord, primary: ReportMetric): Promise<string> {
  const metrics = [primary, ...record.metrics.filter(({ id }) => id !== primary.id)].filter(({ id }) =>
    record.ranking.some(({ values }) => values.some(({ metric }) => metric === id)),
  )
  const charts: string[] = []
  for (const [at, dataset] of record.datasets.entries()) {
    const ranking = record.ranking.filter((entry) => entry.dataset === at)
    const spec = intervalSpec(ranking, primary)
    if (spec === undefined) continue
    const heading = record.datasets.length > 1 ? `<h4>${html(dataset.name)}</h4>` : ''
    charts.push(`<figure>${heading}${await renderChart(spec, intervalLabel(ranking, primary))}</figure>`)
  }
  const chart =
    charts.length === 0
      ? ''
      : `<div class="chartbox">${charts.join('')}<p class="note">${html(baselineCaption(record, primary))}</p></div>`
  const rest = metrics.slice(firstMetrics)
  const more =
    rest.length === 0
      ? ''
      : `<details class="more"><summary>${rest.length === 1 ? 'One more metric' : `${rest.length} more metrics`}: ${html(joinWords(rest.map(({ title }) => title.toLowerCase())))}</summary>
${rankingTable(record, rest, primary)}</details>`
  return `<section id="ranking"><h2>Ranking</h2><p class="about">By ${html(primary.title.toLowerCase())}. Below a value stands its
interval; overlapping intervals do not by themselves mean that two candidates are equal, which is what the pairwise tests are for.</p>
${chart}
${rankingTable(record, metrics.slice(0, firstMetrics), primary)}
${more}
${comparisons(record)}</section>`
}

function testTable(record: ReportRecord, entries: ReportRecord['comparisons']): string {
  const several = record.datasets.length > 1
  const metrics = new Map(record.metrics.map((metric) => [metric.id, metric]))
  const rows = entries.map((entry) => {
    const metric = metrics.get(entry.metric)
    const format = metric?.format ?? 'number'
    const range =
      entry.low === undefined || entry.high === undefined
        ? ''
        : `<span class="iv">${html(formatDifference(entry.low, format))} to ` +
          `${html(formatDifference(entry.high, format))}</span>`
    return `<tr class="${entry.holds ? 'holds' : ''}">${several ? `<td class="l">${html(record.datasets[entry.dataset]!.name)}</td>` : ''}<td class="name">${html(entry.a)}</td><td class="name">${html(entry.b)}</td>
<td>${html(formatDifference(entry.difference, format))}${range}</td><td>${html(formatP(entry.p))}</td><td>${html(formatP(entry.pAdjusted))}</td>
<td class="l">${entry.holds ? 'holds' : 'could be chance'}</td></tr>`
  })
  return `<div class="scroll" tabindex="0" role="region" aria-label="Pairwise tests"><table class="plain tests"><thead><tr>${several ? '<th class="l" scope="col">data set</th>' : ''}<th class="name" scope="col">first</th><th class="name" scope="col">second</th>
<th scope="col">difference</th><th scope="col">p</th><th scope="col">p, adjusted</th><th class="l" scope="col">verdict</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`
}

function comparisons(record: ReportRecord): string {
  if (record.comparisons.length === 0) return ''
  const names = [...new Set(record.comparisons.map(({ test }) => test))]
  const metrics = [...new Set(record.comparisons.map(({ metric }) => metric))].map(
    (id) => record.metrics.find((metric) => metric.id === id)?.title ?? id,
  )
  // Those of the best first; with many candidates all other pairs are folded away.
  const best = record.datasets.map(
    (_, at) => record.ranking.find(({ rank, dataset }) => rank === 1 && dataset === at)?.title,
  )
  const first = record.comparisons.filter(({ dataset, a, b }) => a === best[dataset] || b === best[dataset])
  const many = record.comparisons.length > firstTests && first.length > 0
  const shown = many ? first : record.comparisons
  const rest = many ? record.comparisons.filter((entry) => !first.includes(entry)) : []
  const more =
    rest.length === 0
      ? ''
      : `<details class="more"${rest.length > longTable ? ' data-long' : ''}><summary>${formatCount(rest.length)} more pairs, ${formatCount(rest.filter(({ holds }) => holds).length)} of them with a difference that holds</summary>${testTable(record, rest)}</details>`
  return `<h3>Which differences hold</h3><p class="about">${html(record.testName ?? 'Each pair of candidates, tested on the same rows')}.
A difference is the first less the second in ${html(joinWords(metrics.map((title) => title.toLowerCase())))}, in points for percentages; the test is ${html(joinWords(names))}.</p>
${testTable(record, shown)}
${more}`
}

export function suspectsSection(record: ReportRecord): string {
  if (record.suspects.length === 0) return ''
  const items = record.suspects.map(
    (suspect) =>
      `<li><span class="pic" data-set="${suspect.dataset}" data-row="${suspect.row}"></span><p>labelled ${html(suspect.label)}<br>` +
      `<span class="was">looks like ${html(suspect.suggested)}</span></p><p class="id" ` +
      `title="${html(suspect.id)}">${html(suspect.id)}</p></li>`,
  )
  return `<section id="labels"><h2>Labels to check</h2><p class="about">Images whose label the candidates, when they had not seen it, doubt
most. Some are mistakes in the data; look before you change one.</p><ul class="tiles big">${items.join('')}</ul></section>`
}

export function duplicatesSection(record: ReportRecord): string {
  if (record.duplicates.length === 0) return ''
  const items = record.duplicates.map((pair) => {
    const facts = [
      ...(pair.cosine === undefined ? [] : [`cosine ${pair.cosine.toFixed(4)}`]),
      ...(pair.bits === undefined ? [] : [`${pair.bits} bits apart`]),
      ...(pair.where === undefined ? [] : [pair.where]),
    ]
    const side = (row: number, id: string, label: string): string =>
      `<div><span class="pic" data-set="${pair.dataset}" data-row="${row}"></span><p>${html(label)}<br><span ` +
      `class="note">${html(id)}</span></p></div>`
    return `<li><div class="two">${side(pair.a, pair.idA, pair.labelA)}${side(pair.b, pair.idB, pair.labelB)}</div>
<p class="${pair.labelA === pair.labelB ? '' : 'was'}">${html(facts.join(' · '))}${pair.labelA === pair.labelB ? '' : ' · different labels'}</p></li>`
  })
  return `<section id="duplicates"><h2>Near-duplicates</h2><p class="about">${html(
    record.duplicateRule ?? 'Pairs of images that look like one',
  )}. One on each side of a split makes results look better than they are.</p><ul class="pairs">${items.join('')}</ul></section>`
}

export function mapSection(record: ReportRecord, maps: readonly DrawnMap[]): string {
  if (maps.length === 0) return ''
  const parts = maps.map(({ dataset, map }, at) => {
    const runs = record.details
      .map((detail, run) => ({ detail, run }))
      .filter(({ detail }) => detail.dataset === dataset)
      .map(({ detail, run }) => `<option value="${run}">errors of ${html(detail.title)}</option>`)
    const left = map.leftOut === 0 ? '' : ` ${formatCount(map.leftOut)} rows were left out evenly.`
    return `<div class="map" data-map="${at}">${maps.length > 1 ? `<h3>${html(record.datasets[dataset]!.name)}</h3>` : ''}
<p class="tools"><label>Colour by <select><option value="class">class</option>${runs.join('')}</select></label>
<span class="hint">Hover, or focus the map and use the arrow keys.</span></p>
<div class="mapbox"><canvas tabindex="0" role="application" width="1000" height="680" aria-label="Map of ${formatCount(map.rows.length)} images by their embeddings; arrow keys move from image to image"></canvas><div class="maptip" hidden></div></div>
<div class="legend"></div><p class="vh" aria-live="polite"></p>
<p class="note">${html(`${map.title}: ${map.method}.${left} Near images are alike to the backbone; distances between far groups mean little.`)}</p></div>`
  })
  return `<section id="map"><h2>Map of the embeddings</h2>${parts.join('')}</section>`
}

export async function timeSection(record: ReportRecord, primary: ReportMetric): Promise<string> {
  const timed = record.ranking.filter((e) => e.fitSeconds !== undefined || e.predictSeconds !== undefined)
  if (timed.length === 0) return ''
  const several = record.datasets.length > 1
  const known = timed.some(({ peakBytes }) => peakBytes !== undefined)
  const rows = timed.map(
    (entry) =>
      `<tr class="${entry.baseline ? 'base' : ''}"><td class="name">${html(entry.title)}</td>${several ? `<td class="l">${html(record.datasets[entry.dataset]!.name)}</td>` : ''}<td>${html(formatSeconds(entry.fitSeconds))}</td>
<td>${html(formatSeconds(entry.predictSeconds))}</td><td>${html(formatBytes(entry.modelBytes))}</td>${known ? `<td>${html(formatBytes(entry.peakBytes))}</td>` : ''}</tr>`,
  )
  const memory = known
    ? 'Peak memory is what the process grew by during a fit that ran alone; where fits ran side by side it is ' +
      'not given.'
    : 'Peak memory is not given: fits ran side by side, and the memory is the process’s. With --threads 1 it is ' +
      'measured.'
  const figures: string[] = []
  for (const [at, dataset] of record.datasets.entries()) {
    const spec = costSpec(
      record.ranking.filter((entry) => entry.dataset === at),
      primary,
    )
    if (spec === undefined) continue
    const heading = several ? `<h4>${html(dataset.name)}</h4>` : ''
    figures.push(`<figure>${heading}${await renderChart(spec, `${primary.title} against seconds to fit`)}</figure>`)
  }
  const chart =
    figures.length === 0
      ? ''
      : `<div class="chartbox">${figures.join('')}<p class="note">Coloured are the candidates that no other ` +
        'beats in both.</p></div>'
  return `<section id="time"><h2>Time and size</h2><p class="about">Means over the fits, on the machine named below. ${memory}</p>${chart}
<div class="scroll" tabindex="0" role="region" aria-label="Time and size"><table class="plain"><thead><tr><th class="name" scope="col">candidate</th>${several ? '<th class="l" scope="col">data set</th>' : ''}<th scope="col">fit</th><th scope="col">predict</th>
<th scope="col">model</th>${known ? '<th scope="col">peak memory</th>' : ''}</tr></thead><tbody>${rows.join('')}</tbody></table></div></section>`
}

export function reproduceSection(record: ReportRecord): string {
  const { provenance } = record
  const datasets = record.datasets
    .map((dataset) => {
      const counts = dataset.classes.map(
        ({ name, rows }) => `<tr><td class="name">${html(name)}</td><td>${formatCount(rows)}</td></tr>`,
      )
      const unlabelled = dataset.unlabelled === 0 ? '' : `; ${formatCount(dataset.unlabelled)} without a label`
      const positive = dataset.positive === undefined ? '' : `; positive class ${html(dataset.positive)}`
      return `<details class="more"><summary>${html(dataset.name)}: ${formatCount(dataset.rows)} images in ${dataset.classes.length} classes${unlabelled}${positive}</summary>
<table class="plain"><thead><tr><th class="name" scope="col">class</th><th scope="col">images</th></tr></thead><tbody>${counts.join('')}</tbody></table></details>`
    })
    .join('')
  return `<section id="reproduce"><h2>How to get this again</h2>
${record.protocol.length === 0 ? '' : `<h3>Protocol</h3>${record.protocol.map((line) => `<p class="about">${html(line)}</p>`).join('')}`}
${provenance.command === undefined ? '' : `<h3>Command</h3><pre><code>${html(provenance.command)}</code></pre>`}
${provenance.experiment === undefined ? '' : `<h3>Experiment file</h3><pre><code>${provenance.experiment.split('\n').map(html).join('\n')}</code></pre>`}
${provenance.seed === undefined ? '' : factList([{ name: 'seed', value: provenance.seed }])}
${provenance.versions.length === 0 ? '' : `<h3>Versions</h3>${factList(provenance.versions)}`}
${provenance.hashes.length === 0 ? '' : `<h3>Hashes</h3>${factList(provenance.hashes)}`}
${provenance.machine.length === 0 ? '' : `<h3>Machine</h3>${factList(provenance.machine)}`}
<h3>Data</h3>${datasets}
${record.limits.length === 0 ? '' : `<h3>Left out to keep this file small</h3>${record.limits.map((line) => `<p class="note">${html(line)}</p>`).join('')}`}</section>`
}

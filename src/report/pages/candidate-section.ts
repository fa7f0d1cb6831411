import { html } from '../../base/escape.js'
import { renderChart } from '../charts/charts.js'
import { calibrationSpec, classSpec, curveLabel, curveSpec, learningSpec } from '../charts/specs.js'
import { formatCount, formatValue } from '../data/format.js'
import type { ReportFact, ReportMetric } from '../data/input.js'
import type { DetailRecord, RankedRecord } from '../data/record.js'

/** Up to this many classes the matrix is in the page; above, the script builds it when asked. */
const matrixClasses = 25
const classBars = 24
const pairsShown = 30

/**
 * One trainer's part of the page: facts, confusion matrix, charts, worst mistakes. `run` is its place in the script's
 * data; `printed`: opened for print unasked.
 */
export async function candidateSection(
  detail: DetailRecord,
  entry: RankedRecord,
  metric: ReportMetric,
  run: number,
  open: boolean,
  withCharts: boolean,
  printed: boolean,
): Promise<string> {
  const value = entry.values.find((found) => found.metric === metric.id)
  const heading = `<summary><span class="t">${html(detail.title)}</span><span class="v">${html(
    `${formatValue(value?.value, metric.format)} ${metric.title.toLowerCase()}`,
  )}</span></summary>`
  const notes = [
    `${formatCount(detail.right)} of ${formatCount(detail.rows)} images right.`,
    ...(detail.note === undefined ? [] : [`Predictions: ${detail.note}.`]),
  ]
  return `<details class="cand" id="trainer-${run + 1}"${open ? ' open' : ''}${printed ? '' : ' data-long'}>${heading}<div>
<p class="about">${html(notes.join(' '))}</p>
${factList(entry.facts)}
${confusion(detail, run)}
${withCharts ? await charts(detail, metric) : ''}
${mistakes(detail)}
</div></details>`
}

export function factList(facts: readonly ReportFact[]): string {
  if (facts.length === 0) return ''
  return `<dl class="kv">${facts.map(({ name, value }) => `<dt>${html(name)}</dt><dd>${html(value)}</dd>`).join('')}</dl>`
}

function cell(detail: DetailRecord, label: number, predicted: number, text?: string): string {
  const count = detail.confusion[label]![predicted]!
  if (count === 0 && text === undefined) return '<span class="cell zero">0</span>'
  const total = detail.confusion[label]!.reduce((a, b) => a + b, 0)
  const heat = Math.min(9, Math.floor((count / total) * 10))
  const names = `${count} of ${detail.classes[label]!.name} called ${detail.classes[predicted]!.name}`
  return (
    `<button class="cell h${heat} ${label === predicted ? 'ok' : 'no'}" data-label="${label}" data-predicted="${predicted}" ` +
    `aria-expanded="false" aria-label="${html(names)}">${html(text ?? count)}</button>`
  )
}

function confusion(detail: DetailRecord, run: number): string {
  const { classes } = detail
  const behind =
    '<div class="behind empty" aria-live="polite"><p class="hint">Choose a cell to see its images.</p></div>'
  if (classes.length <= matrixClasses) {
    const head = classes.map(({ name }) => `<th scope="col" title="${html(name)}"><span>${html(name)}</span></th>`)
    const body = classes.map(
      ({ name }, label) =>
        `<tr><th scope="row" title="${html(name)}">${html(name)}</th>${classes
          .map((_, predicted) => `<td>${cell(detail, label, predicted)}</td>`)
          .join('')}</tr>`,
    )
    return `<h3>Confusion matrix</h3><p class="about">Rows are labels, columns what the images were called. Choose a cell, or
walk over the cells with the arrow keys and press Enter, to see the images behind it.</p>
<div class="confusion" data-run="${run}"><div class="scroll"><table class="matrix">
<caption class="vh">Confusion matrix of ${html(detail.title)}: rows are labels, columns predictions</caption>
<thead><tr><td class="axis">label ↓ called →</td>${head.join('')}</tr></thead><tbody>${body.join('')}</tbody></table></div>${behind}</div>`
  }
  const pairs: { label: number; predicted: number; count: number }[] = []
  detail.confusion.forEach((row, label) => {
    row.forEach((count, predicted) => {
      if (label !== predicted && count > 0) pairs.push({ label, predicted, count })
    })
  })
  pairs.sort((a, b) => b.count - a.count || a.label - b.label || a.predicted - b.predicted)
  const rows = pairs
    .slice(0, pairsShown)
    .map(
      ({ label, predicted }) =>
        `<tr><td class="l">${html(classes[label]!.name)}</td><td ` +
        `class="l">${html(classes[predicted]!.name)}</td><td>${cell(detail, label, predicted)}</td></tr>`,
    )
  return `<h3>Confused pairs</h3><p class="about">The most frequent confusions of ${classes.length} classes. Choose a count to see
the images behind it.</p>
<div class="confusion" data-run="${run}"><div><div class="scroll"><table class="plain"><thead><tr><th class="l" scope="col">label</th>
<th class="l" scope="col">called</th><th scope="col">images</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>
<details class="more" data-big><summary>The whole matrix of ${classes.length} × ${classes.length}</summary><div class="scroll"></div></details></div>${behind}</div>`
}

async function charts(detail: DetailRecord, metric: ReportMetric): Promise<string> {
  const figures: string[] = []
  const add = async (title: string, spec: object, label: string, caption: string): Promise<void> => {
    const svg = await renderChart(spec, `${detail.title}: ${label}`)
    figures.push(`<figure><h4>${html(title)}</h4>${svg}<figcaption>${html(caption)}</figcaption></figure>`)
  }
  const weak = detail.classes.filter(({ support }) => support > 0).length > classBars
  await add(
    'By class',
    classSpec(detail.classes, classBars),
    `precision and recall by class. ${detail.classes
      .slice(0, classBars)
      .map((c) => `${c.name}: precision ${c.precision.toFixed(2)}, recall ${c.recall.toFixed(2)}`)
      .join('; ')}`,
    weak
      ? `The ${classBars} weakest classes; the number is the images with that label.`
      : 'The weakest on top; the number is the images with that label.',
  )
  if (detail.roc && detail.roc.length > 0) {
    const several = detail.roc.length > 1
    await add(
      'ROC',
      curveSpec(detail.roc, 'roc'),
      curveLabel('ROC curves', detail.roc),
      several ? 'Each class against the rest, with the area under the curve.' : 'With the area under the curve.',
    )
  }
  if (detail.precisionRecall && detail.precisionRecall.length > 0) {
    await add(
      'Precision and recall',
      curveSpec(detail.precisionRecall, 'pr'),
      curveLabel('Precision-recall curves', detail.precisionRecall),
      'Precision at each recall, with the average precision.',
    )
  }
  if (detail.calibration) {
    await add(
      'Calibration',
      calibrationSpec(detail.calibration),
      `calibration; expected calibration error ${detail.calibration.error.toFixed(3)}`,
      'On the dashed line confidence tells the truth; below it the trainer is too sure. Expected calibration ' +
        `error ${detail.calibration.error.toFixed(3)} over 10 bins; a larger dot is more images.`,
    )
  }
  if (detail.learningCurve && detail.learningCurve.length > 1) {
    await add(
      'Learning curve',
      learningSpec(detail.learningCurve, metric),
      `learning curve. ${detail.learningCurve.map((p) => `${p.rows} rows ${formatValue(p.value, metric.format)}`).join('; ')}`,
      'More images help as long as it still rises.',
    )
  }
  return `<div class="grid">${figures.join('')}</div>`
}

function mistakes(detail: DetailRecord): string {
  if (detail.mistakes.length === 0) return '<p class="about">It made no mistakes.</p>'
  const items = detail.mistakes.map(
    (mistake) =>
      `<li><span class="pic" data-set="${detail.dataset}" data-row="${mistake.row}"></span>` +
      `<p><span class="is">${html(mistake.label)}</span><br><span class="was">called ${html(mistake.predicted)}</span>` +
      `${mistake.confidence === null ? '' : `, ${html(formatValue(mistake.confidence, 'percent'))} sure`}</p>` +
      `<p class="id" title="${html(mistake.id)}">${html(mistake.id)}</p></li>`,
  )
  return (
    '<h3>Worst mistakes</h3><p class="about">Wrong predictions, the surest first.</p><ul class="tiles ' +
    `big">${items.join('')}</ul>`
  )
}

import { scriptJson } from '../../base/escape.js'
import type { Images } from '../charts/sprite.js'
import type { ShownNames } from '../data/detail.js'
import type { ReportInput } from '../data/input.js'
import type { ReportRecord } from '../data/record.js'
import { clientScript } from '../shell/client.js'
import { clientData, type DrawnMap } from '../shell/client-data.js'
import { shellPage } from '../shell/shell.js'
import { styleSheet } from '../shell/style.js'
import { candidateSection } from './candidate-section.js'
import {
  duplicatesSection,
  mapSection,
  rankingSection,
  reproduceSection,
  summarySection,
  suspectsSection,
  timeSection,
} from './sections.js'

/** So many of the best candidates are printed whole; of the others the heading, unless the reader has opened them. */
const printedCandidates = 4

/** The parts of the page in order; empty ones are left out of its navigation. */
export interface Part {
  readonly id: string
  readonly name: string
  readonly body: string
}

/** Draws everything that does not depend on the images: the expensive part of a report. */
export async function drawParts(
  record: ReportRecord,
  maps: readonly DrawnMap[],
  charted: number,
): Promise<readonly Part[]> {
  const primary = record.metrics.find(({ id }) => id === record.primaryMetric)!
  const entries = new Map(record.ranking.map((entry) => [entry.id, entry]))
  const candidates: string[] = []
  // Two of each of several data sets, which stand one after another, are as much paper as four of one.
  const printed = record.datasets.length > 1 ? 2 : printedCandidates
  const met = new Map<number, number>()
  for (const [run, detail] of record.details.entries()) {
    const place = met.get(detail.dataset) ?? 0
    met.set(detail.dataset, place + 1)
    const charts = place < charted && !detail.baseline
    const entry = entries.get(detail.id)!
    candidates.push(await candidateSection(detail, entry, primary, run, run === 0, charts, place < printed))
  }
  const trainers =
    candidates.length === 0
      ? ''
      : '<section id="trainers"><h2>Each candidate</h2><p class="about">Best first. What it confuses, how sure ' +
        `it is, and where it fails.</p>${candidates.join('\n')}</section>`
  return [
    { id: 'ranking', name: 'Ranking', body: await rankingSection(record, primary) },
    { id: 'trainers', name: 'Trainers', body: trainers },
    { id: 'labels', name: 'Labels', body: suspectsSection(record) },
    { id: 'duplicates', name: 'Duplicates', body: duplicatesSection(record) },
    { id: 'map', name: 'Map', body: mapSection(record, maps) },
    { id: 'time', name: 'Time', body: await timeSection(record, primary) },
  ]
}

/** The whole page. */
export function page(
  input: ReportInput,
  record: ReportRecord,
  shown: readonly ShownNames[],
  images: Images,
  maps: readonly DrawnMap[],
  drawn: readonly Part[],
): string {
  const sections = [...drawn, { id: 'reproduce', name: 'Reproduce', body: reproduceSection(record) }]
  const links = sections
    .filter(({ body }) => body !== '')
    .map(({ id, name }) => `<li><a href="#${id}">${name}</a></li>`)
  const sheet =
    images.sprite === undefined
      ? ''
      : `.pic.sheet{background-image:url(data:image/webp;base64,${Buffer.from(images.sprite.webp).toString('base64')})}`
  const style = `${styleSheet}${sheet}`
  const details = record.details
  return shellPage({
    title: record.title,
    style,
    script: clientScript,
    images: true,
    body: `<a class="skip" href="#main">Skip to the report</a>
<nav class="top" aria-label="Parts of the report"><div class="wrap"><ul><li><a href="#summary">Summary</a></li>${links.join('')}</ul>
<button class="quiet" id="theme" type="button" hidden>Theme: auto</button></div></nav>
<main class="wrap" id="main">
${summarySection(record)}
${sections.map(({ body }) => body).join('\n')}
<noscript><p class="note">Images and the map need this file's own script, which is switched off; the numbers and charts do not.</p></noscript>
<footer>Made by fc7 on the machine that ran the evaluation. This file is whole: it loads nothing and sends nothing.</footer>
</main>
<script type="application/json" id="fc7-data">${scriptJson(clientData(input, shown, details, images, maps))}</script>`,
  })
}

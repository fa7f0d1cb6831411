import { dirname, join } from 'node:path'
import { curveAt } from '../../advisor/evidence/learning-curve.js'
import type { Advice } from '../../advisor/rules/advice-file.js'
import { strategies } from '../../advisor/rules/facts.js'
import { adviceLines } from '../../advisor/rules/summary-lines.js'
import { strategyTitles } from '../../advisor/rules/verdict.js'
import { html } from '../../base/escape.js'
import { writeFileAtomic, writeJsonAtomic } from '../../base/files.js'
import { ink, renderChart } from '../charts/charts.js'
import { formatCount, formatP, formatSeconds } from '../data/format.js'
import { shellPage } from '../shell/shell.js'
import { styleSheet } from '../shell/style.js'
import { plainTable } from '../shell/table.js'

const percent = (value: number): string => `${(100 * value).toFixed(1)} %`

const x = (field: string, title: string, scale: object = {}) => ({ field, type: 'quantitative', title, scale })
const accuracy = {
  type: 'quantitative',
  title: 'accuracy of the linear probe',
  scale: { zero: false },
  axis: { format: '.1~%' },
}

/** Accuracy of the probe over the depth of the network, with one standard error either way. */
function depthSpec(layers: Advice['layers']): object {
  const values = layers.map((layer) => ({
    name: layer.name.length > 24 ? `${layer.name.slice(0, 23)}…` : layer.name,
    depth: layer.depth,
    value: layer.accuracy,
    low: layer.accuracy - layer.standardError,
    high: layer.accuracy + layer.standardError,
  }))
  const at = x('depth', 'depth in the network (1: the default layer)', { domain: [0, 1.02] })
  return {
    width: 520,
    height: 240,
    data: { values },
    layer: [
      {
        mark: { type: 'line', strokeWidth: 1.75, color: ink.accent },
        encoding: { x: at, y: { field: 'value', ...accuracy } },
      },
      {
        mark: { type: 'rule', strokeWidth: 2, color: ink.accent },
        encoding: { x: at, y: { field: 'low', ...accuracy }, y2: { field: 'high' } },
      },
      {
        mark: { type: 'circle', size: 70, opacity: 1, color: ink.accent },
        encoding: { x: at, y: { field: 'value', ...accuracy } },
      },
      {
        // Beside the points, where neither the curve (which mostly rises) nor the axis is.
        mark: {
          type: 'text',
          align: { expr: "datum.depth > 0.7 ? 'right' : 'left'" },
          dx: { expr: 'datum.depth > 0.7 ? -8 : 8' },
          dy: { expr: 'datum.depth > 0.7 ? -8 : 10' },
          fontSize: 11,
          color: ink.text,
        },
        encoding: { x: at, y: { field: 'value', ...accuracy }, text: { field: 'name' } },
      },
    ],
  }
}

/** Measured points of the learning curve, the fit, and where it goes with twice the images. */
function curveSpec({ points, fit }: Advice['curve']): object {
  const most = Math.max(...points.map(({ rows }) => rows))
  const least = Math.min(...points.map(({ rows }) => rows))
  const steps = 24
  const line = fit
    ? (
        [
          ['fit', least, most],
          ['beyond', most, 2 * most],
        ] as const
      ).flatMap(([part, from, to]) =>
        Array.from({ length: steps + 1 }, (_, i) => {
          const rows = from * (to / from) ** (i / steps)
          return { rows, value: curveAt(fit, rows), part }
        }),
      )
    : []
  const at = x('rows', 'training images', { type: 'log', nice: false })
  return {
    width: 520,
    height: 240,
    layer: [
      {
        data: { values: line },
        mark: { type: 'line', strokeWidth: 1.75, color: ink.accent },
        encoding: {
          x: at,
          y: { field: 'value', ...accuracy },
          strokeDash: {
            field: 'part',
            type: 'nominal',
            legend: null,
            scale: {
              domain: ['fit', 'beyond'],
              range: [
                [1, 0],
                [5, 4],
              ],
            },
          },
        },
      },
      {
        data: { values: points },
        mark: { type: 'circle', size: 70, opacity: 1, color: ink.warm },
        encoding: { x: at, y: { field: 'value', ...accuracy } },
      },
    ],
  }
}

function votesSpec(votes: Advice['verdict']['votes'], chosen: string): object {
  return {
    width: 420,
    height: { step: 26 },
    data: {
      values: strategies.map((strategy) => ({ strategy, votes: votes[strategy], chosen: strategy === chosen ? 1 : 0 })),
    },
    mark: { type: 'bar' },
    encoding: {
      y: {
        field: 'strategy',
        type: 'nominal',
        sort: null,
        title: null,
        axis: { ticks: false, domain: false, labelFontSize: 12, grid: false },
      },
      x: { field: 'votes', type: 'quantitative', title: 'votes of the evidence' },
      color: { condition: { test: 'datum.chosen > 0', value: ink.accent }, value: ink.muted },
    },
  }
}

const list = (items: readonly string[]): string => `<ul>${items.map((item) => `<li>${html(item)}</li>`).join('')}</ul>`

function dataSection({ data, notes }: Advice): string {
  const facts: [string, string][] = [
    ['labelled images', formatCount(data.images)],
    ['measured on', formatCount(data.used)],
    ['classes', formatCount(data.classes)],
    ['a class', `${data.perClass.least}–${data.perClass.most}, median ${data.perClass.median}`],
    ['largest class', percent(data.largestClass)],
    ['largest over smallest class', (data.perClass.most / data.perClass.least).toFixed(1)],
    ['groups', data.groups === 0 ? 'none' : formatCount(data.groups)],
    ['near-duplicate pairs', formatCount(data.duplicates)],
    ...(data.unlabelled > 0 ? [['without a label', formatCount(data.unlabelled)] as [string, string]] : []),
  ]
  return `<section id="data"><h2>The data</h2><dl class="facts">${facts
    .map(([name, value]) => `<div><dt>${html(name)}</dt><dd>${html(value)}</dd></div>`)
    .join('')}</dl>${notes.length > 0 ? list(notes) : ''}</section>`
}

async function measurements(advice: Advice): Promise<string> {
  const { layers, curve, probe, source, weak, cost } = advice
  const depth =
    layers.length < 2
      ? '<p class="about">The store holds one layer, so nothing can be said about earlier ones.</p>'
      : `<figure>${await renderChart(depthSpec(layers), `Accuracy over depth: ${layers.map((layer) => `${layer.name} ${percent(layer.accuracy)}`).join(', ')}`)}</figure>`
  const fit = curve.fit
  const gain =
    curve.doubling === null ? '' : ` Twice the images would add about ${(100 * curve.doubling).toFixed(1)} points.`
  const costs =
    cost.length === 0
      ? ''
      : `<section id="cost"><h2>What it would cost here</h2><p class="about">Estimated from the measured time of one image; training runs decide the rest.</p>${plainTable(
          'Cost',
          [
            ['strategy', true],
            ['time', false],
            ['because', true],
          ],
          cost.map((row) => [row.strategy, formatSeconds(row.seconds), row.about]),
        )}</section>`
  return `<section id="depth"><h2>Which layer transfers best</h2><p class="about">A linear classifier on each depth, over the same folds. An earlier layer
that does better is the cheapest honest sign of images unlike those the network learned from.</p>${depth}${plainTable(
    'Layers',
    [
      ['layer', true],
      ['values', false],
      ['accuracy', false],
      ['on its own rows', false],
      ['better than the last: p', false],
    ],
    layers.map((layer) => [
      layer.name,
      String(layer.dim),
      `${percent(layer.accuracy)} ± ${(100 * layer.standardError).toFixed(1)}`,
      percent(layer.trainAccuracy),
      layer.p === null ? '–' : formatP(layer.p),
    ]),
  )}</section>
<section id="curve"><h2>Would more images help</h2><p class="about">The probe gets ${percent(probe.accuracy)} of held-out images right and ${percent(probe.trainAccuracy)} of its own.${gain}${
    fit
      ? ` Fitted: ${fit.a.toFixed(3)} − ${fit.b.toFixed(2)}·n<sup>−${fit.c.toFixed(2)}</sup>; dashed beyond the data.`
      : ''
  }</p><figure>${await renderChart(curveSpec(curve), `Learning curve: ${curve.points.map((point) => `${percent(point.value)} at ${Math.round(point.rows)} images`).join(', ')}`)}</figure></section>
<section id="source"><h2>How far from the network’s own images</h2><p class="about">Weak evidence: fine-grained sets look near and still gain from tuning.</p>${plainTable(
    'Distance',
    [
      ['measure', true],
      ['value', false],
      ['meaning', true],
    ],
    [
      [
        'entropy of the source classifier',
        source.entropy === null ? '–' : source.entropy.toFixed(3),
        '0: sure of one of its classes; 1: knows nothing',
      ],
      ['Fréchet distance', source.frechet === null ? '–' : source.frechet.toFixed(3), source.note],
      [
        'kernel distance',
        source.kernel === null ? '–' : source.kernel.toFixed(4),
        'unbiased: about 0 for images like the source’s',
      ],
      [
        'LogME',
        weak.logMe.toFixed(4),
        `on ${weak.rows} rows; only comparable between networks on these images, and weak there too (arXiv 2510.06448)`,
      ],
      ['H-score, regularised', weak.hScore.toFixed(4), 'as LogME: a static ranking of networks by size does better'],
    ],
  )}</section>${costs}`
}

/** The advice as one page that stands alone: no script, no request. */
export async function renderAdvice(advice: Advice): Promise<string> {
  const { verdict, data, backbone } = advice
  const title = `Which transfer learning for ${data.name}`
  const lines = [
    `Confidence: ${verdict.confidence}; next best: ${strategyTitles[verdict.runnerUp]}.`,
    ...adviceLines(advice),
  ]
  const sign = (weight: number): string => (weight > 0 ? 'for' : weight < 0 ? 'against' : 'neutral')
  return shellPage({
    title,
    style: styleSheet,
    body: `<a class="skip" href="#main">Skip to the advice</a>
<main class="wrap" id="main">
<header id="summary"><p class="eyebrow">fc7 advice · ${html(backbone.id)}, ${html(backbone.layer)}</p><h1>${html(title)}</h1>
<p class="headline" role="heading" aria-level="2">${html(verdict.headline)}</p>
${lines.map((line) => `<p class="lead">${html(line)}</p>`).join('')}
<h3>Run next</h3><pre><code>${html(verdict.command)}</code></pre>
${verdict.doubts.length > 0 ? `<h3>Why confidence is not higher</h3>${list(verdict.doubts)}` : ''}</header>
<section id="evidence"><h2>Why</h2><figure>${await renderChart(votesSpec(verdict.votes, verdict.strategy), `Votes: ${strategies.map((one) => `${one} ${verdict.votes[one]}`).join(', ')}`)}</figure>
${plainTable(
  'Evidence',
  [
    ['speaks', true],
    ['evidence', true],
    ['weight', false],
    ['source', true],
  ],
  verdict.evidence.map((row) => [sign(row.weight), row.text, row.weight.toFixed(1), row.source]),
)}
${verdict.wouldChange.length > 0 ? `<h3>What would change the verdict</h3>${list(verdict.wouldChange)}` : ''}</section>
${await measurements(advice)}
${dataSection(advice)}
<footer>Made by fc7. This file is whole: it loads nothing and sends nothing.</footer>
</main>`,
  })
}

/** Writes the page at `path` and `advice.json` beside it, each whole or not at all. */
export async function writeAdvice(
  advice: Advice,
  path: string,
): Promise<{ readonly html: string; readonly json: string }> {
  const json = join(dirname(path), 'advice.json')
  await writeJsonAtomic(json, advice)
  await writeFileAtomic(path, await renderAdvice(advice))
  return { html: path, json }
}

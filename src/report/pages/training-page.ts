import { html } from '../../base/escape.js'
import { writeFileAtomic } from '../../base/files.js'
import type { TrainingRecord } from '../../finetune/result/record.js'
import { ink, palette, renderChart } from '../charts/charts.js'
import { formatCount, formatValue } from '../data/format.js'
import { shellPage } from '../shell/shell.js'
import { styleSheet } from '../shell/style.js'
import { plainTable } from '../shell/table.js'

/** The page's name in the folder of a training. */
export const curvesName = 'curves.html'

type Epoch = TrainingRecord['history'][number]
/** Place on the axis of all charts: epochs are counted on from one phase to the next. */
interface Placed extends Epoch {
  readonly at: number
}

const percent = (value: number): string => formatValue(value, 'percent')

interface Line {
  readonly name: string
  readonly colour: string
  value(epoch: Epoch): number | undefined
}

/** Apart from the head's. */
const colours = palette.filter((_, i) => i !== 1)

const steps = [
  { name: 'training', colour: ink.accent },
  { name: 'selection', colour: ink.warm },
] as const

function lineSpec(
  epochs: readonly Placed[],
  lines: readonly Line[],
  y: {
    readonly title: string
    readonly log?: boolean | undefined
    readonly format: string
    readonly zero?: boolean | undefined
  },
  /** Where dashed lines stand. */
  marks: readonly number[],
): object {
  const values = epochs.flatMap((epoch) =>
    lines.flatMap((line) => {
      const value = line.value(epoch)
      // A logarithmic axis has no zero.
      return value === undefined || !Number.isFinite(value) || (y.log && value <= 0)
        ? []
        : [{ at: epoch.at, value, line: line.name }]
    }),
  )
  const last = Math.max(1, ...epochs.map(({ at }) => at))
  const x = {
    field: 'at',
    type: 'quantitative',
    title: 'epoch',
    scale: { domain: [last > 1 ? 1 : 0, last], nice: false },
    axis: { tickMinStep: 1, format: 'd' },
  }
  const scale = y.log ? { type: 'log' } : { zero: y.zero ?? false }
  const height = {
    field: 'value',
    type: 'quantitative',
    title: y.title,
    scale,
    axis: { format: y.format, tickCount: 5, ...(y.log ? { labelOverlap: true } : {}) },
  }
  const color = {
    field: 'line',
    type: 'nominal',
    legend: lines.length > 1 ? { orient: 'top', title: null, columns: 3 } : null,
    scale: { domain: lines.map(({ name }) => name), range: lines.map(({ colour }) => colour) },
  }
  return {
    width: 300,
    height: 190,
    layer: [
      {
        data: { values: marks.filter((at) => at <= last && at > 0).map((at) => ({ at })) },
        mark: { type: 'rule', strokeDash: [3, 3], strokeWidth: 1, color: ink.muted },
        encoding: { x: { ...x, field: 'at' } },
      },
      {
        data: { values },
        mark: { type: 'line', strokeWidth: 1.75, point: epochs.length < 40 ? { size: 22, opacity: 1 } : false },
        encoding: { x, y: height, color },
      },
    ],
  }
}

/** Loss, accuracy, rate and the gradient's norm by depth, each over the epochs. */
async function charts(epochs: readonly Placed[], best: number | undefined): Promise<string> {
  const turns = epochs.filter(({ phase }, i) => i > 0 && phase !== epochs[i - 1]!.phase)
  const marks = [...(best === undefined ? [] : [best]), ...turns.map(({ at }) => at - 0.5)]
  const both = (of: (epoch: Epoch) => readonly [number, number]): Line[] =>
    steps.map((step, i) => ({ ...step, value: (epoch) => of(epoch)[i] }))
  const parts = [...new Set(epochs.flatMap(({ norms }) => Object.keys(norms)))]
  const end = epochs.at(-1)!
  const figure = async (title: string, spec: object, label: string, caption: string): Promise<string> =>
    `<figure><h4>${html(title)}</h4>${await renderChart(spec, label)}<figcaption>${html(caption)}</figcaption></figure>`
  const one = (name: string, value: (epoch: Epoch) => number): Line[] => [{ name, colour: ink.accent, value }]
  const figures = [
    await figure(
      'Loss',
      lineSpec(
        epochs,
        both(({ trainLoss, selectLoss }) => [trainLoss, selectLoss]),
        { title: 'loss', format: '.2~f' },
        marks,
      ),
      `Loss: training ${end.trainLoss.toFixed(3)}, selection ${end.selectLoss.toFixed(3)} at the end`,
      'Of training images as they were augmented, while the weights moved; of those that choose the epoch, after it.',
    ),
    await figure(
      'Accuracy',
      lineSpec(
        epochs,
        both(({ trainAccuracy, selectAccuracy }) => [trainAccuracy, selectAccuracy]),
        { title: 'accuracy', format: '.0%' },
        marks,
      ),
      `Accuracy: training ${percent(end.trainAccuracy)}, selection ${percent(end.selectAccuracy)} at the end`,
      'Training far above selection: learnt by heart. Both low: not trained enough, or too much frozen.',
    ),
    await figure(
      'Learning rate',
      lineSpec(
        epochs,
        one('learning rate', ({ lr }) => lr),
        { title: 'learning rate', format: '.1~e', zero: true },
        marks,
      ),
      `Learning rate: ${end.lr.toPrecision(2)} at the end`,
      'At the end of each epoch; layers have their own factors.',
    ),
    await figure(
      'Gradient’s norm by depth',
      lineSpec(
        epochs,
        parts.map((name, i) => ({
          name,
          colour: name === 'head' ? ink.warm : colours[i % colours.length]!,
          value: ({ norms }) => norms[name],
        })),
        { title: 'norm', log: true, format: '.0~e' },
        marks,
      ),
      `Norm of the gradient: ${parts.map((name) => `${name} ${(end.norms[name] ?? 0).toPrecision(2)}`).join(', ')} at the end`,
      'Mean over the epoch’s steps, before any limit. Part 1 is nearest to the pixels; head is the new layer.',
    ),
  ]
  return `<div class="grid">${figures.join('')}</div>`
}

function classTable({ classes, confusion }: NonNullable<TrainingRecord['finished']>): string {
  const rows = classes.map((name, c) => {
    const row = confusion[c] ?? []
    const support = row.reduce((a, b) => a + b, 0)
    const wrong = row.map((count, other) => ({ count, other })).filter(({ count, other }) => other !== c && count > 0)
    const worst = wrong.sort((a, b) => b.count - a.count)[0]
    return [
      name,
      formatCount(support),
      formatCount(row[c] ?? 0),
      support === 0 ? '–' : percent((row[c] ?? 0) / support),
      worst ? `${classes[worst.other]} (${worst.count})` : '–',
    ]
  })
  return plainTable(
    'Classes',
    [
      ['class', true],
      ['images', false],
      ['right', false],
      ['share', false],
      ['most often called', true],
    ],
    rows,
  )
}

/** How a training went, as one page that stands alone: no script, no request. */
export async function renderTraining({ plan, best, history, finished }: TrainingRecord): Promise<string> {
  const title = `Fine-tuning ${plan.backbone.id} on ${plan.dataset.name}`
  const epochs = history.map((epoch, i) => ({ ...epoch, at: i + 1 }))
  const phase = epochs.at(-1)?.phase
  const before = epochs.filter((epoch) => epoch.phase !== phase).length
  const bestAt = best && best.epoch > 0 ? before + best.epoch : undefined
  const planned = plan.phases.reduce((sum, { epochs: count }) => sum + count, 0)
  const headline = finished
    ? `${percent(finished.accuracy)} of ${formatCount(finished.rows)} images right on ${finished.source}`
    : `Not finished: ${epochs.length} of at most ${planned} epochs`
  const lines = [
    ...(best
      ? [
          `The weights ${best.epoch > 0 ? `after epoch ${best.epoch}` : 'from before the first epoch'}${plan.phases.length > 1 ? ` of ${phase}` : ''} were kept: ${percent(best.accuracy)} and a loss of ${best.loss.toFixed(3)} on ${formatCount(plan.images.select)} images of ${plan.images.sources.select}.`,
        ]
      : []),
    `Trained on ${formatCount(plan.images.train)} images of ${plan.classes.length} classes with ` +
      `${plan.optimizer.kind}, strategy ${plan.strategy}.`,
    ...plan.phases.map(
      (one) =>
        `${plan.phases.length > 1 ? `${one.name}: ` : ''}${formatCount(one.trainedValues)} weights above ${one.boundary} trained, ${formatCount(one.frozenValues)} stayed; rate ${one.lr}.`,
    ),
    ...(finished && finished.failures > 0 ? [`${finished.failures} images could not be read and were left out.`] : []),
  ]
  const table = plainTable(
    'Epochs',
    [
      ['phase', true],
      ['epoch', false],
      ['training loss', false],
      ['selection loss', false],
      ['training accuracy', false],
      ['selection accuracy', false],
      ['learning rate', false],
      ['images/s', false],
    ],
    epochs.map((epoch) => [
      epoch.phase,
      `${epoch.epoch}${epoch.at === bestAt ? ' (best)' : ''}`,
      epoch.trainLoss.toFixed(4),
      epoch.selectLoss.toFixed(4),
      percent(epoch.trainAccuracy),
      percent(epoch.selectAccuracy),
      epoch.lr.toPrecision(3),
      epoch.imagesPerSecond < 100 ? epoch.imagesPerSecond.toFixed(1) : formatCount(epoch.imagesPerSecond),
    ]),
  )
  return shellPage({
    title,
    style: styleSheet,
    body: `<a class="skip" href="#main">Skip to the curves</a>
<main class="wrap" id="main">
<header id="summary"><p class="eyebrow">fc7 fine-tuning · ${html(plan.strategy)}${finished ? ` · ${html(finished.id)}` : ''}</p><h1>${html(title)}</h1>
<p class="headline" role="heading" aria-level="2">${html(headline)}</p>
${lines.map((line) => `<p class="lead">${html(line)}</p>`).join('')}</header>
<section id="curves"><h2>Curves</h2>${
      epochs.length === 0
        ? '<p class="about">No epoch is finished yet.</p>'
        : `<p class="about">${bestAt === undefined ? 'A' : 'The dashed line is the epoch whose weights were kept; a'} dashed line between epochs is where a new phase began.</p>${await charts(epochs, bestAt)}`
    }</section>
${finished ? `<section id="classes"><h2>By class</h2><p class="about">On the images that took no part in training.</p>${classTable(finished)}</section>` : ''}
${epochs.length === 0 ? '' : `<section id="epochs"><h2>Every epoch</h2>${table}</section>`}
<footer>Made by fc7. This file is whole: it loads nothing and sends nothing.</footer>
</main>`,
  })
}

/** Writes the page at `path`, whole or not at all. */
export async function writeTraining(record: TrainingRecord, path: string): Promise<void> {
  await writeFileAtomic(path, await renderTraining(record))
}

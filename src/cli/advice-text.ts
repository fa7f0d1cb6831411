import type { Advice } from '../advisor/rules/advice-file.js'
import { adviceLines } from '../advisor/rules/summary-lines.js'
import { formatSeconds } from '../base/text.js'
import { formatTable } from './terminal.js'

const percent = (value: number): string => `${(100 * value).toFixed(1)} %`

/** Size and shape in one sentence. */
function dataWords({ data }: Advice): string {
  const { least, most, median } = data.perClass
  return [
    `${data.images} labelled images`,
    `${data.classes} classes`,
    least === most
      ? `${least} a class`
      : `${least} to ${most} a class (median ${median}, the largest ${(most / least).toFixed(1)} times the smallest)`,
    data.groups === 0 ? 'no groups' : `${data.groups} groups`,
    `${data.duplicates} ${data.duplicates === 1 ? 'pair' : 'pairs'} of near-duplicates`,
    ...(data.unlabelled > 0 ? [`${data.unlabelled} without a label`] : []),
  ].join(', ')
}

/** What a terminal shows: verdict first, then what it rests on. */
export function adviceText(advice: Advice): string {
  const { verdict, data, curve, probe } = advice
  const weights = verdict.evidence.map(
    ({ text, weight }) => `  ${weight > 0 ? 'for    ' : weight < 0 ? 'against' : 'neutral'}  ${text}`,
  )
  const layers = formatTable(
    ['layer', 'depth', 'accuracy', 'on its own rows', 'better than the last: p'],
    advice.layers.map((layer) => [
      layer.name,
      layer.depth.toFixed(2),
      percent(layer.accuracy),
      percent(layer.trainAccuracy),
      layer.p === null ? '–' : layer.p < 0.001 ? '< 0.001' : layer.p.toFixed(3),
    ]),
  )
  const cost = advice.cost.map(
    (row) => `  ${row.strategy.padEnd(10)}  ${formatSeconds(row.seconds).padStart(12)}  ${row.about}`,
  )
  return [
    `${verdict.headline} Confidence: ${verdict.confidence}.`,
    ...adviceLines(advice),
    ...(verdict.doubts.length > 0 ? ['', 'Not surer, because:', ...verdict.doubts.map((line) => `  ${line}`)] : []),
    '',
    `${data.name}: ${dataWords(advice)}.`,
    `Linear probe: ${percent(probe.accuracy)} ± ${percent(probe.standardError)} on held-out images, ` +
      `${percent(probe.trainAccuracy)} on its own.`,
    ...(curve.doubling === null
      ? []
      : [`Twice the images would add about ${(100 * curve.doubling).toFixed(1)} points.`]),
    '',
    layers,
    '',
    'Evidence:',
    ...weights,
    ...(verdict.wouldChange.length > 0
      ? ['', 'What would change this:', ...verdict.wouldChange.map((line) => `  ${line}`)]
      : []),
    ...(cost.length > 0 ? ['', 'Estimated on this machine:', ...cost] : []),
    ...(advice.notes.length > 0 ? ['', ...advice.notes] : []),
    '',
    `Next: ${verdict.command}`,
  ].join('\n')
}

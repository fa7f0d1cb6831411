import { formatSeconds } from '../base/text.js'
import type { Evaluation } from '../evaluation/results/schema.js'
import { formatTable } from './terminal.js'

const percent = (value: number | null): string => (value === null ? '–' : (100 * value).toFixed(1))

/** The results as a terminal shows them: best first, with interval, times and size. */
export function comparisonTable(evaluation: Evaluation): string {
  const { metric } = evaluation
  const rows = evaluation.results.map((result) => {
    const measure = result.metrics[metric]
    const trainer = evaluation.trainers.find((candidate) => candidate.key === result.trainer)
    return [
      `${result.title}${result.limited ? ` (${trainer?.maxTrainItems} rows only)` : ''}`,
      metric === 'accuracy' ? `${percent(measure.value)} %` : (measure.value?.toFixed(4) ?? '–'),
      measure.low === null || measure.high === null
        ? '–'
        : metric === 'accuracy'
          ? `${percent(measure.low)} – ${percent(measure.high)}`
          : `${measure.low.toFixed(4)} – ${measure.high.toFixed(4)}`,
      formatSeconds(result.timing.fitMs / 1000),
      formatSeconds((result.timing.predictMsPerItem * result.predictions) / 1000),
    ]
  })
  return formatTable(['trainer', metric, '95 % interval', 'fit', 'predict'], rows)
}

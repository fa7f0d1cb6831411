import type { Prediction } from './predict.js'

/** A cell that no spreadsheet takes for a formula. */
function cell(value: string | number): string {
  const text = String(value)
  const guarded = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded
}

/**
 * Predictions as CSV: id, path, label, predicted, trained_on, then the `top` best classes with their scores. Texts that
 * a spreadsheet would take for a formula get an apostrophe.
 */
export function predictionsCsv(predictions: readonly Prediction[], top: number): string {
  const header = [
    'id',
    'path',
    'label',
    'predicted',
    'trained_on',
    ...Array.from({ length: top }, (_, i) => [`class_${i + 1}`, `score_${i + 1}`]).flat(),
  ]
  const lines = predictions.map((row) => [
    row.id,
    row.path,
    row.label ?? '',
    row.predicted,
    row.trainedOn ? 'yes' : 'no',
    ...row.top.flatMap(({ label, score }) => [label, score]),
  ])
  return [header, ...lines].map((line) => `${line.map(cell).join(',')}\n`).join('')
}

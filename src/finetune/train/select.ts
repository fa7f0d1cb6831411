import { Fc7Error } from '../../base/errors.js'
import type { PhaseRun } from './phase-run.js'

const evaluationRows = 32

/** Mean loss and accuracy of logits against labels; the loss of the head's own kind. */
export function scoreLogits(
  logits: Float32Array,
  labels: readonly number[],
  ok: Float32Array,
  outputs: number,
): { loss: number; correct: number; rows: number } {
  let loss = 0
  let correct = 0
  let rows = 0
  labels.forEach((label, row) => {
    if (ok[row] === 0) return
    rows++
    const z = logits.subarray(row * outputs, (row + 1) * outputs)
    if (outputs === 1) {
      const score = z[0]!
      loss += Math.max(score, 0) - score * label + Math.log1p(Math.exp(-Math.abs(score)))
      if (score > 0 === (label === 1)) correct++
      return
    }
    const top = Math.max(...z)
    loss += Math.log(z.reduce((sum, v) => sum + Math.exp(v - top), 0)) + top - z[label]!
    if (z.indexOf(top) === label) correct++
  })
  return { loss, correct, rows }
}

/**
 * Loss and accuracy on the images that choose the epoch, with the weights of now.
 *
 * @throws Fc7Error FINETUNE_SPLIT when none of them can be read
 */
export async function evaluate(run: PhaseRun): Promise<{ loss: number; accuracy: number }> {
  const outputs = run.plan.loss === 'sigmoid' ? 1 : run.plan.classes.length
  const sums = { loss: 0, correct: 0, rows: 0 }
  for (let from = 0; from < run.select.length; from += evaluationRows) {
    const wanted = run.select.slice(from, from + evaluationRows)
    const { data, ok } = await run.rows('select', wanted, 0)
    const logits = await run.thread.ask('evaluate', { data, rows: wanted.length })
    const part = scoreLogits(logits, wanted.map(run.label), ok, outputs)
    sums.loss += part.loss
    sums.correct += part.correct
    sums.rows += part.rows
  }
  if (sums.rows === 0) {
    throw new Fc7Error('FINETUNE_SPLIT', 'None of the images that choose the epoch could be read.', {
      hint: 'Replace broken images in the val split or in train; `fc7 extract` lists why each failed.',
    })
  }
  return { loss: sums.loss / sums.rows, accuracy: sums.correct / sums.rows }
}

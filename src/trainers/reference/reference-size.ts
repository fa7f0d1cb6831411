import { Fc7Error } from '../../base/errors.js'
import { formatSeconds } from '../../base/text.js'

const longestSeconds = 600

/** Refuses a fit that the estimate says would not end in ten minutes. @throws Fc7Error TRAINER_TOO_SLOW */
export function refuseSlow(trainer: string, seconds: number, instead: string): void {
  if (seconds <= longestSeconds) return
  throw new Fc7Error(
    'TRAINER_TOO_SLOW',
    `${trainer} would need about ${formatSeconds(seconds)} for this size: it is a reference for small data.`,
    {
      hint: `Use ${instead}, or give it fewer rows.`,
    },
  )
}

/** Rows as the plain nested arrays that the ml packages take. */
export const nested = (data: Float32Array, rows: number, cols: number): number[][] =>
  Array.from({ length: rows }, (_, i) => Array.from(data.subarray(i * cols, (i + 1) * cols)))

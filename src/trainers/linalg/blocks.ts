import { turnTaker } from '../../base/turns.js'

/** Numbers of a block of rows: 4 MB of float32, a millisecond or two of work. */
const blockNumbers = 1 << 20

/** Who waits for work that passes over the rows. */
export interface Watch {
  readonly signal?: AbortSignal | undefined
  /** Called with a number in [0, 1]. */
  readonly onProgress?: ((fraction: number) => void) | undefined
}

/**
 * Passes over the rows of a matrix a block at a time, so that what is made of them stays small. Between blocks the
 * event loop gets its turns, and the signal is heard.
 *
 * @param work gets the first row of a block and the one after its last
 * @throws InterruptedError
 */
export async function eachBlock(
  { rows, cols }: { readonly rows: number; readonly cols: number },
  { signal, onProgress }: Watch,
  work: (from: number, to: number) => void | Promise<void>,
): Promise<void> {
  const pause = turnTaker(signal, 'Training')
  const step = Math.max(1, Math.floor(blockNumbers / Math.max(1, cols)))
  for (let from = 0; from < rows; from += step) {
    await pause()
    const to = Math.min(rows, from + step)
    await work(from, to)
    onProgress?.(to / rows)
  }
  await pause()
}

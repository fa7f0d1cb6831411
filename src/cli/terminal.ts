import { type Progress, type ProgressTask, silentProgress } from '../base/progress.js'
import { formatBytes, formatSeconds, visible } from '../base/text.js'

const redrawMs = 100
const plainLineMs = 10_000
const barWidth = 24
const minBarWidth = 6

interface Stream {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  write(text: string): unknown
}

interface Position {
  readonly label: string
  readonly unit: string
  readonly total?: number | undefined
  /** Where this run began, in units: a resumed one does not begin at 0. */
  readonly from: number
  readonly done: number
  /** Since this run began. */
  readonly seconds: number
  readonly note?: string | undefined
}

/** How far a task is, how fast, and how long it will take, as one line. */
function describe({ label, unit, total, from, done, seconds, note }: Position): string {
  const rate = seconds > 0 ? Math.max(0, done - from) / seconds : 0
  const bytes = unit === 'bytes'
  const amount = bytes ? formatBytes(done) : `${Math.floor(done)}`
  const of = total === undefined ? '' : ` of ${bytes ? formatBytes(total) : total}`
  const perSecond = bytes
    ? `${formatBytes(Math.round(rate))}/s`
    : `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} ${unit}/s`
  const left = total !== undefined && rate > 0 && done < total ? `, ${formatSeconds((total - done) / rate)} left` : ''
  return `${label}  ${amount}${of}${bytes ? '' : ` ${unit}`}  ${perSecond}${left}${note ? `  ${note}` : ''}`
}

/** Progress on a terminal as a bar that is redrawn, elsewhere as a plain line every ten seconds. */
export function terminalProgress(stream: Stream, now: () => number = Date.now): Progress {
  const tty = stream.isTTY === true
  return {
    say: (line) => void stream.write(`${visible(line)}\n`),
    task({ label, total, unit, from = 0 }): ProgressTask {
      const name = visible(label)
      const startedMs = now()
      let drawnMs = tty ? 0 : startedMs
      let last = from
      const clear = (): void => void (tty && stream.write('\r\x1b[2K'))
      return {
        update(done, note = '') {
          last = done
          const time = now()
          if (time - drawnMs < (tty ? redrawMs : plainLineMs)) return
          drawnMs = time
          const seconds = (time - startedMs) / 1000
          const text = describe({ label: name, unit, total, from, done, seconds, note: visible(note) })
          if (!tty) return void stream.write(`${text}\n`)
          const columns = (stream.columns ?? 100) - 1
          // What it says goes before how it looks: the bar takes the columns that the text leaves.
          const width = Math.min(barWidth, columns - text.length - 1)
          const filled = total ? Math.round((Math.min(done, total) / total) * width) : 0
          const bar = total && width >= minBarWidth ? `${'█'.repeat(filled)}${'░'.repeat(width - filled)} ` : ''
          clear()
          stream.write(`${bar}${text}`.slice(0, columns))
        },
        end(summary) {
          clear()
          const seconds = (now() - startedMs) / 1000
          const reached = (): string => describe({ label: name, unit, from, done: last, seconds })
          stream.write(`${summary === undefined ? `${reached()}, ${formatSeconds(seconds)}` : visible(summary)}\n`)
        },
      }
    },
  }
}

export const quietProgress = silentProgress

/** A plain table: the first column left, the others right aligned where every cell begins with a digit or a sign. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(visible))
  const widths = header.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)))
  const numeric = header.map(
    (_, i) => i > 0 && cells.length > 0 && cells.every((row) => /^[-+−\d–—]/.test(row[i] ?? '–')),
  )
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (numeric[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd()
  return [line(header), widths.map((width) => '─'.repeat(width)).join('  '), ...cells.map(line)].join('\n')
}

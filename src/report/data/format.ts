import type { ReportMetric } from './input.js'

/** A metric's value as a reader wants it: `91.3 %` or `0.412`; a missing or infinite one is a dash. */
export function formatValue(value: number | undefined, format: ReportMetric['format'], unit = true): string {
  if (value === undefined || !Number.isFinite(value)) return '–'
  if (format === 'percent') return `${(value * 100).toFixed(1)}${unit ? ' %' : ''}`
  return value.toFixed(3)
}

/** A signed difference, in points for percentages. */
export function formatDifference(value: number | undefined, format: ReportMetric['format']): string {
  if (value === undefined || !Number.isFinite(value)) return '–'
  const sign = value < 0 ? '−' : '+'
  return format === 'percent' ? `${sign}${Math.abs(value * 100).toFixed(1)}` : `${sign}${Math.abs(value).toFixed(3)}`
}

export function formatSeconds(seconds: number | undefined): string {
  if (seconds === undefined || !Number.isFinite(seconds)) return '–'
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${Math.round(seconds - minutes * 60)} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

export function formatBytes(bytes: number | undefined): string {
  if (bytes === undefined || !Number.isFinite(bytes)) return '–'
  if (bytes < 1000) return `${bytes} B`
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`
  if (bytes < 1e9) return `${(bytes / 1e6).toFixed(1)} MB`
  return `${(bytes / 1e9).toFixed(2)} GB`
}

export function formatCount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ',')
}

export function formatP(p: number): string {
  if (!Number.isFinite(p)) return '–'
  return p < 0.001 ? '< 0.001' : p.toFixed(3)
}

/** `one`, `one and two`, `one, two and three`. */
export function joinWords(words: readonly string[]): string {
  if (words.length < 2) return words[0] ?? ''
  return `${words.slice(0, -1).join(', ')} and ${words[words.length - 1]}`
}

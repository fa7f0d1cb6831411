import * as vega from 'vega'
import { compile } from 'vega-lite'

/**
 * Width of a text in a usual sans-serif. Vega's own guess without a canvas is 0.8 em a character, half as much again.
 */
function textWidth(text: string, fontSize: number): number {
  let ems = 0
  for (const character of text) {
    if (/[ijltfrI.,:;'|!() [\]]/.test(character)) ems += 0.36
    else if (/[mwMW@%]/.test(character)) ems += 0.92
    else if (/[A-Z]/.test(character)) ems += 0.68
    else ems += character > '\u2e80' ? 1 : 0.6
  }
  return ems * fontSize
}
interface MeasuredText {
  readonly fontSize?: number | undefined
  readonly limit?: number | undefined
  readonly text?: string | undefined
}
function measure(item: MeasuredText, text?: string): number {
  const width = textWidth(String(text ?? item.text ?? ''), item.fontSize ?? 11)
  // What is cut takes its limit; Vega asks without the cut when it lays out.
  return Math.round(item.limit !== undefined && item.limit > 0 ? Math.min(width, item.limit) : width)
}

// Here, where Vega is loaded: every drawing measures alike.
const { textMetrics } = vega as unknown as { textMetrics: { width: typeof measure } }
textMetrics.width = measure

export { compile, vega }

import { createHash } from 'node:crypto'
import type { TopLevelSpec } from 'vega-lite'

/** Theme colours are CSS variables: a chart drawn once follows light, dark and print. */
export const ink = {
  text: 'var(--ink-2)',
  faint: 'var(--line)',
  accent: 'var(--accent)',
  warm: 'var(--warm)',
  muted: 'var(--ink-3)',
} as const

/** Colours of classes that stay apart for most colour-blind readers and on both backgrounds. */
export const palette = [
  '#2f7f86',
  '#d1743a',
  '#6f6fc0',
  '#b3922d',
  '#c0507d',
  '#4f9a5b',
  '#8a5a3c',
  '#3f8fd0',
  '#9a6bb0',
  '#7d8590',
] as const

const font = 'var(--sans)'

let loading: Promise<typeof import('./vega.js')> | undefined

/** Vega takes half a second to load: it is loaded for the first chart, not with every command that may draw one. */
function loadVega(): Promise<typeof import('./vega.js')> {
  loading ??= import('./vega.js')
  return loading
}

const config = {
  font,
  background: 'transparent',
  view: { stroke: null },
  axis: {
    labelColor: ink.text,
    titleColor: ink.text,
    labelFontSize: 11,
    titleFontSize: 11,
    titleFontWeight: 'normal',
    titlePadding: 8,
    gridColor: ink.faint,
    domainColor: ink.faint,
    tickColor: ink.faint,
    tickSize: 4,
    tickCount: 5,
    labelLimit: 150,
  },
  legend: {
    labelColor: ink.text,
    titleColor: ink.text,
    labelFontSize: 11,
    labelLimit: 140,
    symbolStrokeWidth: 2.5,
    rowPadding: 4,
  },
  title: { color: ink.text },
} as const

/**
 * Compiles a Vega-Lite specification and renders it to SVG text in this process; `label` is what a screen reader says.
 */
export async function renderChart(spec: object, label: string): Promise<string> {
  const { vega, compile } = await loadVega()
  const compiled = compile({ ...spec, config } as unknown as TopLevelSpec).spec
  const loader = vega.loader()
  // Data are inline; a specification that asks for anything else is a defect.
  loader.load = () => Promise.reject(new Error('charts load nothing'))
  const view = new vega.View(vega.parse(compiled), { renderer: 'none', loader, logLevel: vega.Error })
  try {
    return slim(ownIds(await view.toSVG(), label), label)
  } finally {
    view.finalize()
  }
}

/**
 * Vega numbers the clips and gradients of a process as it goes. Named after the chart itself they are the same in every
 * drawing of it, and no two charts of a page share one.
 */
function ownIds(svg: string, label: string): string {
  const names = [...new Set(Array.from(svg.matchAll(/ id="((?:clip|gradient_)\d+)"/g), ([, id]) => id!))]
  const numbered = names.map((id, i) => [id, `#${i}`] as const)
  const swap = (text: string, to: ReadonlyMap<string, string>): string =>
    text.replace(/(?<= id="|url\(#)(?:clip|gradient_)\d+(?=["')])/g, (id) => to.get(id) ?? id)
  const plain = swap(svg, new Map(numbered))
  const own = createHash('sha256').update(label).update('\0').update(plain).digest('hex').slice(0, 10)
  return swap(svg, new Map(names.map((id, i) => [id, `c${own}-${i}`])))
}

function escapeAttribute(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;')
}

/** Drops empty frames and per-mark roles (the chart is one image with a label), and rounds coordinates. */
function slim(svg: string, label: string): string {
  const head = /^<svg[^>]*?width="([\d.]+)" height="([\d.]+)" viewBox="([^"]*)">/.exec(svg)
  const body = svg
    .replace(/^<svg[^>]*>/, '')
    .replace(/<path class="(?:background|foreground)"[^>]*\/>/g, '')
    .replace(/ (?:aria-[a-z]+|role|pointer-events)="[^"]*"/g, '')
    .replace(/ class="(?!mark-)[^"]*"/g, '')
    .replace(/ class="mark-(?:group|rule|text) role-(?:axis|legend|title|scope|frame|mark)[^"]*"/g, '')
    .replace(/ class="(mark-[a-z]+)[^"]*"/g, ' class="$1"')
    .replace(/ opacity="1"/g, '')
    .replace(/<(text|line)[^>]* opacity="0"[^>]*?(?:\/>|>[^<]*<\/text>)/g, '')
    .replace(/<g><\/g>/g, '')
    // Coordinates only: a text's digits are the reader's.
    .replace(/<[^>]*>/g, (tag) => tag.replace(/(\d+\.\d{2})\d+/g, '$1'))
  const [, width = '300', height = '200', box = `0 0 ${width} ${height}`] = head ?? []
  return (
    `<svg class="chart" role="img" aria-label="${escapeAttribute(label)}" width="${width}" height="${height}" ` +
    `viewBox="${box}" xmlns="http://www.w3.org/2000/svg">${body}`
  )
}

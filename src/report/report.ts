import { basename, dirname, extname, join } from 'node:path'
import { throwIfAborted } from '../base/errors.js'
import { writeFileAtomic } from '../base/files.js'
import type { Progress } from '../base/progress.js'
import { mapEmbedding } from './charts/map.js'
import { gatherImages, type Images } from './charts/sprite.js'
import { analyseReport } from './data/analyse.js'
import type { ReportInput } from './data/input.js'
import type { ReportRecord } from './data/record.js'
import { renderMarkdown } from './pages/markdown.js'
import { drawParts, page } from './pages/page.js'
import type { DrawnMap } from './shell/client-data.js'

/** Charts are drawn for this many of the best candidates; the others have numbers and confusion matrices. */
const chartedCandidates = 12
const maxHtmlBytes = 5_000_000

export interface ReportOptions {
  /** Of the map's layout; default 0. */
  readonly seed?: number | string | undefined
  readonly threads?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly progress?: Progress | undefined
}

/** The three forms of one report. */
export interface RenderedReport {
  readonly html: string
  readonly markdown: string
  readonly record: ReportRecord
}

/**
 * Draws a report: one HTML file that stands alone (below 5 MB for 5,000 images), the same in Markdown, and the record
 * behind both. Equal input and seed give equal text. Throws REPORT_INPUT where the input contradicts itself.
 */
export async function renderReport(input: ReportInput, options: ReportOptions = {}): Promise<RenderedReport> {
  const analysis = analyseReport(input)
  const limits = [...analysis.record.limits]
  const maps: DrawnMap[] = []
  for (const [dataset, one] of input.datasets.entries()) {
    const map = await mapEmbedding(one, { ...options, seed: options.seed ?? 0 })
    if (map !== undefined) maps.push({ dataset, map })
  }
  throwIfAborted(options.signal, 'The report')
  const sets = Math.max(1, input.datasets.length)
  const charted = Math.max(1, Math.floor(chartedCandidates / sets))
  const candidates = analysis.record.details.filter(({ baseline }) => !baseline).length
  if (candidates > charted * sets) {
    const of = sets > 1 ? `${charted} best of each data set, of ${candidates}` : `${charted} best of ${candidates}`
    limits.push(`Charts are drawn for the ${of} candidates.`)
  }
  // What the page weighs beside its images is known only when it is drawn: first without them, then with what fits.
  const none = {
    sprite: undefined,
    places: input.datasets.map(({ ids }) => new Int32Array(ids.length)),
    large: new Map(),
    leftOut: 0,
    larger: { asked: 0, shown: 0 },
  }
  const parts = await drawParts(analysis.record, maps, charted)
  const draw = (record: ReportRecord, images: Images): string =>
    page(input, record, analysis.shown, images, maps, parts)
  const bare = Buffer.byteLength(draw({ ...analysis.record, limits }, none))
  const budgetBytes = Math.floor(((maxHtmlBytes - bare) * 3) / 4) - 20_000
  const images = await gatherImages(input, analysis, budgetBytes, options.signal)
  if (images.leftOut > 0) limits.push(`${images.leftOut} images have no thumbnail in this file.`)
  limits.push(...largerWords(images))
  throwIfAborted(options.signal, 'The report')
  const record = { ...analysis.record, limits }
  return { html: draw(record, images), markdown: renderMarkdown(record), record }
}

/** How many images are larger than a thumbnail, where any could be. */
function largerWords({ sprite, larger: { asked, shown } }: Images): string[] {
  if (sprite === undefined) return []
  if (asked === 0)
    return ['Images are thumbnails only: the store does not say where its images came from, or not with which bytes.']
  if (shown === 0)
    return ['Images are thumbnails only: the images themselves are no longer where the store was made from.']
  return [
    `${shown} of ${sprite.count} images are larger than a thumbnail: worst mistakes, doubtful labels and ` +
      'duplicates first.',
  ]
}

/** Where {@link writeReport} put the three files. */
export interface WrittenReport {
  readonly html: string
  readonly json: string
  readonly markdown: string
}

/**
 * Renders and writes `path` and, beside it with the same stem, `.json` and `.md`; each appears whole or not at all, the
 * HTML last.
 */
export async function writeReport(
  input: ReportInput,
  path: string,
  options: ReportOptions = {},
): Promise<WrittenReport> {
  const rendered = await renderReport(input, options)
  const stem = join(dirname(path), basename(path, extname(path)))
  const written = { html: path, json: `${stem}.json`, markdown: `${stem}.md` }
  await writeFileAtomic(written.json, `${JSON.stringify(rendered.record, null, 2)}\n`)
  await writeFileAtomic(written.markdown, rendered.markdown)
  await writeFileAtomic(written.html, rendered.html)
  return written
}

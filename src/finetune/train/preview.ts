import sharp from 'sharp'
import { Fc7Error } from '../../base/errors.js'
import { html } from '../../base/escape.js'
import { writeFileAtomic } from '../../base/files.js'
import { counterBeta, counterKey } from '../../training/counter-random.js'
import { mixupLane } from '../../training/runner.js'
import { augmentationOf } from '../plan/options.js'
import type { PreparedFinetune } from '../plan/prepare.js'
import { Images } from './images.js'

const shownImages = 12
const shownViews = 6
const sidePixels = 128
const notReadable = '<td>not readable</td>'

type View = Awaited<ReturnType<Images['rows']>>

/** One image's share of another's, as a step of training blends them. */
function blended(own: Uint8Array, other: Uint8Array, share: number): Uint8Array {
  return own.map((value, i) => Math.round(other[i]! + share * (value - other[i]!)))
}

/** The images of a sheet in every view, and their cells. */
class Sheet {
  readonly #prepared: PreparedFinetune
  readonly #images: Images
  /** Indices of the images, one a line. */
  readonly #shown: readonly number[]
  /** One a column: undefined is the image by its recipe. */
  readonly #columns: readonly (number | undefined)[]
  #views: readonly View[] = []

  constructor(prepared: PreparedFinetune, images: Images) {
    const { train } = prepared.roles
    const step = Math.max(1, Math.floor(train.length / shownImages))
    this.#prepared = prepared
    this.#images = images
    this.#shown = train.filter((_, i) => i % step === 0).slice(0, shownImages)
    this.#columns = [undefined, ...Array.from({ length: shownViews }, (_, i) => i)]
  }

  get rows(): number {
    return this.#shown.length
  }

  async decode(): Promise<void> {
    const views: View[] = []
    for (const view of this.#columns) views.push(await this.#images.rows(this.#shown, view))
    this.#views = views
  }

  /** Names of the columns. */
  names(): string[] {
    const { mixup } = this.#prepared.options
    const names = this.#columns.map((view) => (view === undefined ? 'recipe' : `epoch ${view + 1}`))
    return mixup > 0 ? [...names, `mixup with the next, α ${mixup}`] : names
  }

  /** The lines of the table. */
  lines(): Promise<string[]> {
    const { items, options } = this.#prepared
    return Promise.all(
      this.#shown.map(async (image, row) => {
        const cells = await Promise.all(this.#views.map((view) => this.#cell(view, row)))
        if (options.mixup > 0) cells.push(await this.#mixed(image, row))
        const { id, label } = items[image]!
        return `<tr><th>${html(id)}<br>${html(label ?? '')}</th>${cells.join('')}</tr>`
      }),
    )
  }

  #pixels({ data }: View, row: number): Uint8Array {
    return new Uint8Array(data, row * this.#images.bytes, this.#images.bytes)
  }

  #cell(view: View, row: number): Promise<string> {
    return view.ok[row] === 0 ? Promise.resolve(notReadable) : this.#shownPixels(this.#pixels(view, row))
  }

  /** The image as the first epoch blends it with the next one of the sheet. */
  #mixed(image: number, row: number): Promise<string> {
    const { seed, mixup } = this.#prepared.options
    const view = this.#views[1]!
    const other = (row + 1) % this.rows
    if (view.ok[row] === 0 || view.ok[other] === 0) return Promise.resolve(notReadable)
    const key = counterKey({ seed, epoch: 0, step: 0, image, lane: mixupLane })
    const share = counterBeta(key, mixup, 1).value
    const pixels = blended(this.#pixels(view, row), this.#pixels(view, other), share)
    return this.#shownPixels(pixels, `${(100 * share).toFixed(0)} % of this image`)
  }

  async #shownPixels(pixels: Uint8Array, title = ''): Promise<string> {
    const { width, height } = this.#prepared.network
    const raw = { width, height, channels: 3 } as const
    const webp = await sharp(Buffer.from(pixels), { raw }).resize(sidePixels).webp().toBuffer()
    return (
      `<td><img alt="" title="${title}" width="${sidePixels}" ` +
      `src="data:image/webp;base64,${webp.toString('base64')}"></td>`
    )
  }
}

function page(names: readonly string[], lines: readonly string[]): string {
  const head = names.map((name) => `<th>${name}</th>`).join('')
  return `<!doctype html><html lang="en"><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Augmentation</title>
<style>body{font:14px system-ui,sans-serif;margin:1rem}th{font-weight:normal;text-align:left;max-width:14rem;overflow-wrap:anywhere}td{padding:2px}</style>
<h1>What training sees</h1><table><thead><tr><th></th>${head}</tr></thead><tbody>${lines.join('\n')}</tbody></table></html>
`
}

/**
 * Writes one page with some training images, each by its recipe, in the views of the first epochs and, with mixup,
 * blended with the next one.
 *
 * @returns how many
 * @throws Fc7Error USAGE_PREVIEW
 */
export async function previewAugmentation(prepared: PreparedFinetune, out: string): Promise<number> {
  if (!out.endsWith('.html')) {
    throw new Fc7Error('USAGE_PREVIEW', `${out} does not end in .html.`, { hint: 'The sheet is one HTML file.' })
  }
  const { items, network, backbone, options } = prepared
  const images = new Images(items, {
    recipe: backbone.recipe.recipe,
    width: network.width,
    height: network.height,
    threads: 1,
    orient: false,
    seed: options.seed,
    augmentation: augmentationOf(options),
  })
  try {
    const sheet = new Sheet(prepared, images)
    await sheet.decode()
    await writeFileAtomic(out, page(sheet.names(), await sheet.lines()))
    return sheet.rows
  } finally {
    await images.close()
  }
}

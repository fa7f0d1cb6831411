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

/** One image's share of another's, as a step of training blends them. */
function blended(own: Uint8Array, other: Uint8Array, share: number): Uint8Array {
  return own.map((value, i) => Math.round(other[i]! + share * (value - other[i]!)))
}

/**
 * Writes one page with some training images, each by its recipe, in the views of the first epochs and, with mixup,
 * blended with the next one.
 *
 * @returns how many
 */
export async function previewAugmentation(prepared: PreparedFinetune, out: string): Promise<number> {
  if (!out.endsWith('.html')) {
    throw new Fc7Error('USAGE_PREVIEW', `${out} does not end in .html.`, { hint: 'The sheet is one HTML file.' })
  }
  const { items, roles, network, backbone, options } = prepared
  const { width, height } = network
  const images = new Images(items, {
    recipe: backbone.recipe.recipe,
    width,
    height,
    threads: 1,
    orient: false,
    seed: options.seed,
    augmentation: augmentationOf(options),
  })
  const step = Math.max(1, Math.floor(roles.train.length / shownImages))
  const wanted = roles.train.filter((_, i) => i % step === 0).slice(0, shownImages)
  try {
    const columns = [undefined, ...Array.from({ length: shownViews }, (_, i) => i)]
    const views: Awaited<ReturnType<Images['rows']>>[] = []
    for (const view of columns) views.push(await images.rows(wanted, view))
    const pixels = ({ data }: Awaited<ReturnType<Images['rows']>>, row: number): Uint8Array =>
      new Uint8Array(data, row * images.bytes, images.bytes)
    const cell = async (bytes: Uint8Array, title = ''): Promise<string> => {
      const raw = { width, height, channels: 3 } as const
      const webp = await sharp(Buffer.from(bytes), { raw }).resize(sidePixels).webp().toBuffer()
      return (
        `<td><img alt="" title="${title}" width="${sidePixels}" ` +
        `src="data:image/webp;base64,${webp.toString('base64')}"></td>`
      )
    }
    const mixed = (image: number, row: number): Promise<string> => {
      const view = views[1]!
      const other = (row + 1) % wanted.length
      if (view.ok[row] === 0 || view.ok[other] === 0) return Promise.resolve('<td>not readable</td>')
      const share = counterBeta(
        counterKey({ seed: options.seed, epoch: 0, step: 0, image, lane: mixupLane }),
        options.mixup,
        1,
      ).value
      return cell(blended(pixels(view, row), pixels(view, other), share), `${(100 * share).toFixed(0)} % of this image`)
    }
    const lines = await Promise.all(
      wanted.map(async (image, row) => {
        const cells = await Promise.all(
          views.map((view) => (view.ok[row] === 0 ? '<td>not readable</td>' : cell(pixels(view, row)))),
        )
        if (options.mixup > 0) cells.push(await mixed(image, row))
        const { id, label } = items[image]!
        return `<tr><th>${html(id)}<br>${html(label ?? '')}</th>${cells.join('')}</tr>`
      }),
    )
    const names = columns.map((view) => (view === undefined ? 'recipe' : `epoch ${view + 1}`))
    if (options.mixup > 0) names.push(`mixup with the next, α ${options.mixup}`)
    const head = names.map((name) => `<th>${name}</th>`).join('')
    const page = `<!doctype html><html lang="en"><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Augmentation</title>
<style>body{font:14px system-ui,sans-serif;margin:1rem}th{font-weight:normal;text-align:left;max-width:14rem;overflow-wrap:anywhere}td{padding:2px}</style>
<h1>What training sees</h1><table><thead><tr><th></th>${head}</tr></thead><tbody>${lines.join('\n')}</tbody></table></html>
`
    await writeFileAtomic(out, page)
    return wanted.length
  } finally {
    await images.close()
  }
}

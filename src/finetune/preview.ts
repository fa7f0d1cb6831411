import sharp from 'sharp'
import { Fc7Error } from '../base/errors.js'
import { writeFileAtomic } from '../base/files.js'
import { visible } from '../base/text.js'
import { augmentationOf } from './options.js'
import { Pictures } from './pictures.js'
import type { PreparedFinetune } from './prepare.js'

const shownPictures = 12
const shownViews = 6
const sidePixels = 128

const escaped = (text: string): string => visible(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`)

/** Writes one page with some training pictures, each by its recipe and in the views of the first epochs. @returns how many */
export async function previewAugmentation(prepared: PreparedFinetune, out: string): Promise<number> {
  if (!out.endsWith('.html')) {
    throw new Fc7Error('USAGE_PREVIEW', `${out} does not end in .html.`, { hint: 'The sheet is one HTML file.' })
  }
  const { items, roles, network, backbone, options } = prepared
  const { width, height } = network
  const pictures = new Pictures(items, {
    recipe: backbone.recipe.recipe,
    width,
    height,
    threads: 1,
    orient: false,
    seed: options.seed,
    augmentation: augmentationOf(options),
  })
  const step = Math.max(1, Math.floor(roles.train.length / shownPictures))
  const wanted = roles.train.filter((_, i) => i % step === 0).slice(0, shownPictures)
  try {
    const columns = [undefined, ...Array.from({ length: shownViews }, (_, i) => i)]
    const views: Awaited<ReturnType<Pictures['rows']>>[] = []
    for (const view of columns) views.push(await pictures.rows(wanted, view))
    const lines = await Promise.all(
      wanted.map(async (picture, row) => {
        const cells = await Promise.all(
          views.map(async ({ data, ok }) => {
            if (ok[row] === 0) return '<td>not readable</td>'
            const bytes = Buffer.from(new Uint8Array(data, row * pictures.bytes, pictures.bytes))
            const webp = await sharp(bytes, { raw: { width, height, channels: 3 } })
              .resize(sidePixels)
              .webp()
              .toBuffer()
            return `<td><img alt="" width="${sidePixels}" src="data:image/webp;base64,${webp.toString('base64')}"></td>`
          }),
        )
        const { id, label } = items[picture]!
        return `<tr><th>${escaped(id)}<br>${escaped(label ?? '')}</th>${cells.join('')}</tr>`
      }),
    )
    const head = columns.map((view) => `<th>${view === undefined ? 'recipe' : `epoch ${view + 1}`}</th>`).join('')
    const page = `<!doctype html><html lang="en"><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Augmentation</title>
<style>body{font:14px system-ui,sans-serif;margin:1rem}th{font-weight:normal;text-align:left;max-width:14rem;overflow-wrap:anywhere}td{padding:2px}</style>
<h1>What training sees</h1><table><thead><tr><th></th>${head}</tr></thead><tbody>${lines.join('\n')}</tbody></table></html>
`
    await writeFileAtomic(out, page)
    return wanted.length
  } finally {
    await pictures.close()
  }
}

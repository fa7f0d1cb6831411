import sharp from 'sharp'
import type { Analysis } from '../data/analyse.js'
import type { ReportInput } from '../data/input.js'

/** Bytes that all small images together may take, as WebP; base64 adds a third. */
const spriteBudgetBytes = 2_300_000
const leastSpriteBytes = 200_000
const maxSpriteImages = 6000
export const maxLargeImages = 300
const largeBudgetBytes = 2_000_000
/** Kept for larger images where a sheet of thousands would take everything. */
const largeReserveBytes = 550_000
/** Tried in turn until the sheet fits the budget. */
const attempts = [
  { tile: 48, quality: 62 },
  { tile: 48, quality: 40 },
  { tile: 40, quality: 40 },
  { tile: 32, quality: 40 },
  { tile: 32, quality: 20 },
  { tile: 24, quality: 20 },
]

/** An image of a data set that has a place in the sheet. */
export interface ImageKey {
  readonly dataset: number
  readonly row: number
}

export interface Sprite {
  /** Pixels of a tile's side. */
  readonly tile: number
  readonly columns: number
  readonly rows: number
  readonly count: number
  readonly webp: Uint8Array
}

export interface Images {
  readonly sprite: Sprite | undefined
  /** Place in the sheet of `[dataset][row]`, or -1. */
  readonly places: readonly Int32Array[]
  /** Larger images, by place in the sheet. */
  readonly large: ReadonlyMap<number, { readonly type: string; readonly bytes: Uint8Array }>
  /** Images that have a thumbnail but found no place. */
  readonly leftOut: number
  /** Larger images that were asked for, and how many of them came and fitted. */
  readonly larger: { readonly asked: number; readonly shown: number }
}

/**
 * Which images get a place, most wanted first: the best candidates' worst mistakes, label suspects, duplicates, the
 * mistakes of the others, whatever else was called wrongly, then all others in their order.
 */
export function wantedImages(input: ReportInput, { record }: Analysis): ImageKey[] {
  const seen = input.datasets.map((dataset) => new Uint8Array(dataset.ids.length))
  const wanted: ImageKey[] = []
  const want = (dataset: number, row: number): void => {
    if (seen[dataset]![row]) return
    seen[dataset]![row] = 1
    wanted.push({ dataset, row })
  }
  const best = input.datasets.map((_, at) =>
    record.details.find(({ dataset, baseline }) => dataset === at && !baseline),
  )
  for (const detail of best) for (const { row } of detail?.mistakes ?? []) want(detail!.dataset, row)
  for (const { dataset, row } of record.suspects) want(dataset, row)
  for (const { dataset, a, b } of record.duplicates) {
    want(dataset, a)
    want(dataset, b)
  }
  for (const detail of record.details) for (const { row } of detail.mistakes) want(detail.dataset, row)
  for (const { dataset, outcome } of input.candidates) {
    if (outcome === undefined) continue
    const { labels } = input.datasets[dataset]!
    outcome.rows.forEach((row, i) => {
      if (labels[row] !== outcome.predicted[i]) want(dataset, row)
    })
  }
  // The rest in a fixed stride, so that a full sheet still samples every class.
  input.datasets.forEach(({ ids }, dataset) => {
    const stride = Math.max(1, Math.ceil(ids.length / maxSpriteImages))
    for (let first = 0; first < stride; first++)
      for (let row = first; row < ids.length; row += stride) want(dataset, row)
  })
  return wanted
}

/**
 * Puts the thumbnails into one WebP sheet, and adds larger images of the most wanted, all within `roomBytes`. Broken
 * ones are left out.
 */
export async function gatherImages(
  input: ReportInput,
  analysis: Analysis,
  roomBytes: number,
  signal?: AbortSignal | undefined,
): Promise<Images> {
  const places = input.datasets.map((dataset) => new Int32Array(dataset.ids.length).fill(-1))
  const tiles: { key: ImageKey; bytes: Uint8Array }[] = []
  let leftOut = 0
  const wanted = wantedImages(input, analysis)
  for (const key of wanted) {
    const dataset = input.datasets[key.dataset]!
    const bytes = dataset.thumbnails.get(dataset.ids[key.row]!)
    if (bytes === undefined) continue
    if (tiles.length < maxSpriteImages) tiles.push({ key, bytes })
    else leftOut++
  }
  const kept = await readTiles(tiles.map(({ bytes }) => bytes))
  const drawn: Buffer[] = []
  tiles.forEach(({ key }, i) => {
    const pixels = kept[i]
    if (pixels === undefined) return
    places[key.dataset]![key.row] = drawn.length
    drawn.push(pixels)
  })
  const reserve = input.datasets.some(({ readImages }) => readImages) ? largeReserveBytes : 0
  const forSheet = Math.max(leastSpriteBytes, Math.min(spriteBudgetBytes, roomBytes - reserve))
  const sprite = drawn.length === 0 ? undefined : await drawSheet(drawn, forSheet)
  const left = Math.min(largeBudgetBytes, roomBytes - (sprite?.webp.length ?? 0))
  return { sprite, places, leftOut, ...(await largeImages(input, wanted, places, left, signal)) }
}

const side = attempts[0]!.tile

/** Each thumbnail as `side × side` RGB, letterboxed; undefined where it cannot be read. */
async function readTiles(all: readonly Uint8Array[]): Promise<(Buffer | undefined)[]> {
  const made: (Buffer | undefined)[] = new Array(all.length)
  let next = 0
  const work = async (): Promise<void> => {
    for (let i = next++; i < all.length; i = next++) {
      if (imageType(all[i]!) === undefined) continue
      try {
        made[i] = await sharp(all[i]!, { limitInputPixels: 4_000_000 })
          .resize(side, side, { fit: 'contain', background: '#808080' })
          .flatten({ background: '#808080' })
          .toColourspace('srgb')
          .removeAlpha()
          .raw()
          .toBuffer()
        if (made[i]!.length !== side * side * 3) made[i] = undefined
      } catch {
        made[i] = undefined
      }
    }
  }
  await Promise.all(Array.from({ length: 4 }, work))
  return made
}

async function drawSheet(drawn: readonly Buffer[], budgetBytes: number): Promise<Sprite> {
  const columns = Math.ceil(Math.sqrt(drawn.length))
  const rows = Math.ceil(drawn.length / columns)
  const sheet = Buffer.alloc(columns * rows * side * side * 3, 0x80)
  const width = columns * side * 3
  drawn.forEach((pixels, i) => {
    const left = (i % columns) * side * 3
    const top = Math.floor(i / columns) * side
    for (let y = 0; y < side; y++) pixels.copy(sheet, (top + y) * width + left, y * side * 3, (y + 1) * side * 3)
  })
  const raw = { width: columns * side, height: rows * side, channels: 3 as const }
  let best: Sprite | undefined
  for (const { tile, quality } of attempts) {
    const webp = await sharp(sheet, { raw, limitInputPixels: false })
      .resize(columns * tile, rows * tile, { kernel: 'cubic', fit: 'fill' })
      .webp({ quality, effort: 4 })
      .toBuffer()
    best = { tile, columns, rows, count: drawn.length, webp }
    if (webp.length <= budgetBytes) break
  }
  return best!
}

/** Larger images of the most wanted that have a place in the sheet, as long as count and bytes allow. */
async function largeImages(
  input: ReportInput,
  wanted: readonly ImageKey[],
  places: readonly Int32Array[],
  budgetBytes: number,
  signal: AbortSignal | undefined,
): Promise<Pick<Images, 'large' | 'larger'>> {
  const asked = wanted
    .filter(({ dataset, row }) => places[dataset]![row]! >= 0 && input.datasets[dataset]!.readImages)
    .slice(0, maxLargeImages)
  const found = await Promise.all(
    input.datasets.map(({ ids, readImages }, at) => {
      const own = asked.filter(({ dataset }) => dataset === at).map(({ row }) => ids[row]!)
      return own.length > 0 ? readImages!(own, signal) : new Map<string, Uint8Array>()
    }),
  )
  const large = new Map<number, { type: string; bytes: Uint8Array }>()
  let used = 0
  for (const { dataset, row } of asked) {
    const bytes = found[dataset]!.get(input.datasets[dataset]!.ids[row]!)
    const type = bytes && imageType(bytes)
    if (bytes === undefined || type === undefined || used + bytes.length > budgetBytes) continue
    large.set(places[dataset]![row]!, { type, bytes })
    used += bytes.length
  }
  return { large, larger: { asked: asked.length, shown: large.size } }
}

/** The media type by the file's first bytes; only these three reach a decoder or a browser. */
export function imageType(bytes: Uint8Array): 'image/webp' | 'image/png' | 'image/jpeg' | undefined {
  const at = (start: number, text: string): boolean =>
    [...text].every((character, i) => bytes[start + i] === character.charCodeAt(0))
  if (at(0, 'RIFF') && at(8, 'WEBP')) return 'image/webp'
  if (bytes[0] === 0x89 && at(1, 'PNG')) return 'image/png'
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return 'image/jpeg'
  return undefined
}

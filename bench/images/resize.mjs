// What the exact resize costs beside libvips' own: decode + resize + crop of real JPEGs, one thread at a time, in one
// run.
//
//   node bench/images/resize.mjs [folder with JPEGs, default ../shared/datasets] [images, default 200]
//
// `a second` counts images. The ratio exact / fast must be at least 0.8, the cost of exact over fast at most 1.5 ms an
// image.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { decodeImage } from '../../dist/images/decode/decode.js'
import { prepareImage } from '../../dist/images/prepare/prepare.js'
import { namedRecipe } from '../../dist/images/recipe/recipe.js'
import { resample } from '../../dist/images/resample/resample.js'

sharp.concurrency(1)
sharp.cache(false)
const folder = process.argv[2] ?? new URL('../../../shared/datasets', import.meta.url).pathname
const count = Number(process.argv[3] ?? 200)
const recipe = namedRecipe('torchvision', { width: 224, height: 224 })

const files = readdirSync(folder, { recursive: true })
  .map(String)
  .filter((name) => /\.jpe?g$/i.test(name))
  .sort()
const step = Math.max(1, Math.floor(files.length / count))
const images = files
  .filter((_, i) => i % step === 0)
  .slice(0, count)
  .map((name) => readFileSync(join(folder, name)))

async function milliseconds(work, inputs) {
  const started = performance.now()
  for (const input of inputs) await work(input)
  return (performance.now() - started) / inputs.length
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

async function compare(title, inputs) {
  const ways = {
    exact: (bytes) => prepareImage(bytes, recipe),
    fast: (bytes) => prepareImage(bytes, recipe, { resizeMode: 'fast' }),
    decode: (bytes) => decodeImage(bytes),
  }
  const times = Object.fromEntries(Object.keys(ways).map((name) => [name, []]))
  for (let round = 0; round < 4; round++) {
    for (const [name, work] of Object.entries(ways)) {
      const time = await milliseconds(work, inputs)
      if (round > 0) times[name].push(time)
    }
  }
  const [exact, fast, decode] = ['exact', 'fast', 'decode'].map((name) => median(times[name]))
  console.log(
    `${title}: exact ${exact.toFixed(2)} ms, fast ${fast.toFixed(2)} ms, decode alone ${decode.toFixed(2)} ms an image; ` +
      `exact costs ${(exact - fast).toFixed(2)} ms more, throughput exact / fast ${(fast / exact).toFixed(2)}`,
  )
}

if (images.length === 0) {
  console.error(`No JPEGs under ${folder}.`)
  process.exit(1)
}
const readable = []
for (const bytes of images) if (await decodeImage(bytes).catch(() => undefined)) readable.push(bytes)
await compare(`${readable.length} JPEGs as they are`, readable)

const sized = await Promise.all(
  readable.slice(0, 60).map((bytes) => sharp(bytes).resize(500, 375, { fit: 'fill' }).jpeg({ quality: 90 }).toBuffer()),
)
await compare(`${sized.length} JPEGs of 500×375`, sized)

const source = await decodeImage(sized[0])
const target = { width: 341, height: 256 }
const window = { x: 58, y: 16, width: 224, height: 224 }
for (const wasm of [true, false]) {
  const turns = new Array(100).fill(0)
  await milliseconds(() => resample(source, target, { filter: 'bilinear', window, wasm }), turns)
  const time = await milliseconds(() => resample(source, target, { filter: 'bilinear', window, wasm }), turns)
  console.log(`500×375 → 341×256 → crop 224, bilinear, ${wasm ? 'WebAssembly' : 'JavaScript'}: ${time.toFixed(2)} ms`)
}

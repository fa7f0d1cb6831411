// How close extraction comes to the speed of its parts, in one run on real images:
//   a   the unchanged ONNX file in stock onnxruntime-node on float32 batches, at its best batch size
//   a'  fc7's extraction graph alone (uint8 in, exact rewrites), with the best split of the threads and batch size
//   b   decode + exact resize alone, on all threads; and the same with libvips' resize
//   c   `extract` end to end, without thumbnails and with them
// The parts are measured in turn, round after round; a ratio is taken within each round, and the median of the rounds
// is printed, so that a machine that is now fast and now slow does not decide.
//
// Usage: node bench/extract/run.mjs <folder with images> [--model <id or file>[:recipe]]... [--light
// <topology>[:recipe]]...
//          [--images 300] [--threads 2] [--rounds 3] [--graph-only]
// --light takes one of the ONNX project's light models and gives it seeded random weights. --graph-only leaves b and c
// out.
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { cacheFolder } from '../../dist/base/cache.js'
import { openDataset } from '../../dist/datasets/open.js'
import { prepareExtraction } from '../../dist/embeddings/extract/prepare.js'
import { decoding, endToEnd, extractionGraph, rewriteError, stockRuntime } from './parts.mjs'
import { randomWeights } from './topology.mjs'

const args = process.argv.slice(2)
const values = (name) => args.flatMap((arg, i) => (arg === `--${name}` ? [args[i + 1]] : []))
const folder = args[0]
if (!folder || folder.startsWith('--')) {
  console.error('Usage: node bench/extract/run.mjs <folder with images> [--model <id or file>[:recipe]]...')
  process.exit(2)
}
const images = Number(values('images')[0] ?? 300)
const threads = Number(values('threads')[0] ?? availableParallelism())
const rounds = Number(values('rounds')[0] ?? 3)
const graphOnly = args.includes('--graph-only')
const seconds = 1.5
const entries = [
  ...values('model').map((entry) => ({ entry, light: false })),
  ...values('light').map((entry) => ({ entry, light: true })),
]

const median = (numbers) => numbers.toSorted((x, y) => x - y)[numbers.length >> 1]
const one = (number) => number.toFixed(1)

async function bench(model, recipe, scratch, cache, paths) {
  const request = {
    source: folder,
    model,
    cacheFolder: cache,
    limit: paths.length,
    thumbs: false,
    provider: 'cpu',
    ...(recipe ? { recipe } : {}),
  }
  const prepared = await prepareExtraction(request)
  const withThumbs = { ...request, thumbs: true }
  const error = prepared.plan.rewrites.length > 0 ? await rewriteError(prepared, request, paths) : undefined
  const stock = await stockRuntime(prepared, request, threads, scratch)
  const graph = await extractionGraph(prepared, threads)
  console.log(`\n${basename(model)}: a at ${stock.name}; a' at ${graph.name}`)
  const steps = prepared.plan.recipe.steps
  const exact = graphOnly ? undefined : decoding(paths, steps, threads, 'exact')
  const fast = graphOnly ? undefined : decoding(paths, steps, threads, 'fast')
  const whole = endToEnd(prepared, request, threads, scratch)
  const thumbs = endToEnd(await prepareExtraction(withThumbs), withThumbs, threads, scratch)
  await exact?.measure()
  await fast?.measure()
  // The parts were warmed up above; so is the whole: its first run reads the graph and the images from the disk.
  if (!graphOnly) await whole.measure()
  const table = []
  let chosen
  for (let round = 0; round < rounds; round++) {
    const a = await stock.measure(seconds)
    const graphBefore = await graph.measure(seconds)
    if (graphOnly) {
      table.push({ a, "a'": graphBefore, "a'/a": graphBefore / a })
    } else {
      const b = await exact.measure()
      const bFast = await fast.measure()
      const c = await whole.measure()
      const cThumbs = await thumbs.measure()
      // Measured on both sides of c, so that a drift of the machine falls out.
      const aa = (graphBefore + (await graph.measure(seconds))) / 2
      const bb = (b + (await exact.measure())) / 2
      const ideal = 1 / (1 / aa + 1 / bb)
      chosen = c.chosen
      table.push({
        a,
        "a'": aa,
        "a'/a": aa / a,
        b: bb,
        'b/b fast': b / bFast,
        c: c.rate,
        'c/ideal': c.rate / ideal,
        'c thumbs/ideal': cThumbs.rate / ideal,
        'start-up s': c.startUp,
      })
    }
    const last = table.at(-1)
    console.log(
      `  round ${round + 1}: ${Object.entries(last)
        .map(([name, value]) => `${name} ${name.includes('/') ? value.toFixed(2) : one(value)}`)
        .join(', ')}`,
    )
  }
  console.log(
    `  median:  ${Object.keys(table[0])
      .map((name) => {
        const value = median(table.map((row) => row[name]))
        return `${name} ${name.includes('/') ? value.toFixed(2) : one(value)}`
      })
      .join(', ')}`,
  )
  if (error !== undefined)
    console.log(
      `  rewrites ${prepared.plan.rewrites.join(', ')}: embeddings differ by ${error.toExponential(1)}, relative`,
    )
  if (chosen)
    console.log(
      `  c chose ${chosen.sessions} × ${chosen.threadsPerSession} threads, batch ${chosen.batch}, ${chosen.decodeThreads} decoding`,
    )
  await Promise.all([stock.close(), graph.close(), exact?.close(), fast?.close()])
}

const dataset = await openDataset(folder)
const paths = []
for await (const item of dataset.items()) {
  if (paths.length === images) break
  if (item.load.kind === 'file') paths.push(item.load.path)
}
console.log(`${paths.length} images, ${threads} threads, ${process.version}`)
for (const { entry, light } of entries.length > 0 ? entries : [{ entry: 'resnet50', light: false }]) {
  const [model, recipe] = entry.split(':')
  const scratch = await mkdtemp(join(tmpdir(), 'fc7-bench-'))
  try {
    const file = join(scratch, basename(model))
    if (light) await randomWeights(model, file)
    // A light model's graphs do not go into the cache.
    await bench(light ? file : model, recipe, scratch, light ? scratch : cacheFolder(), paths)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

// How close extraction comes to the speed of its parts, in one run on real pictures:
//   a   the unchanged ONNX file in stock onnxruntime-node on float32 batches, at its best batch size
//   a'  fc7's extraction graph alone (uint8 in, exact rewrites)
//   b   decode + exact resize alone, on all threads; and the same with the fast resampler
//   c   `extract` end to end
// Usage: node bench/extract/run.mjs <folder with pictures> [--model <id or file>[:recipe]]... [--images 300] [--threads 2]
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import ort from 'onnxruntime-node'
import { cacheFolder } from '../../dist/base/cache.js'
import { openDataset } from '../../dist/datasets/open.js'
import { runExtraction } from '../../dist/embeddings/extract-images.js'
import { graphFile, prepareExtraction } from '../../dist/embeddings/prepare.js'
import { DecodePool } from '../../dist/images/decode-pool.js'
import { InferenceWorker } from '../../dist/runtime/inference.js'

const args = process.argv.slice(2)
const values = (name) => args.flatMap((arg, i) => (arg === `--${name}` ? [args[i + 1]] : []))
const folder = args[0]
if (!folder || folder.startsWith('--')) {
  console.error('Usage: node bench/extract/run.mjs <folder with pictures> [--model <id or file>[:recipe]]...')
  process.exit(2)
}
const images = Number(values('images')[0] ?? 300)
const threads = Number(values('threads')[0] ?? availableParallelism())
const models = values('model').length > 0 ? values('model') : ['resnet50']
const batches = [1, 4, 8, 16, 32]
const secondsPerPoint = 3

/** Pictures a second of a repeated piece of work, median of the repeats. */
async function rate(pictures, work) {
  await work()
  const times = []
  const until = performance.now() + secondsPerPoint * 1000
  while (performance.now() < until || times.length < 3) {
    const started = performance.now()
    await work()
    times.push(performance.now() - started)
  }
  times.sort((x, y) => x - y)
  return (1000 * pictures) / times[times.length >> 1]
}

async function best(measure) {
  let top = { batch: 0, rate: 0 }
  for (const batch of batches) {
    const found = await measure(batch)
    if (found > top.rate) top = { batch, rate: found }
  }
  return top
}

async function stock(path, { width, height }, layout) {
  const session = await ort.InferenceSession.create(path, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  })
  const [input] = session.inputMetadata
  const fixed = typeof input.shape[0] === 'number' ? input.shape[0] : undefined
  const measured = await best(async (batch) => {
    if (fixed !== undefined && batch !== fixed) return 0
    const dims = layout === 'NHWC' ? [batch, height, width, 3] : [batch, 3, height, width]
    const data = Float32Array.from({ length: batch * 3 * height * width }, (_, i) => (i % 255) - 120)
    const feeds = { [input.name]: new ort.Tensor('float32', data, dims) }
    return rate(batch, () => session.run(feeds))
  })
  await session.release()
  return measured
}

async function decodeRate(paths, recipe, resizeMode) {
  const pool = new DecodePool({ recipe, resizeMode, threads, maxQueued: 64 })
  const all = async () => {
    const results = []
    for (const path of paths) {
      await pool.whenRoom()
      results.push(pool.submit({ path }))
    }
    await Promise.all(results)
  }
  const found = await rate(paths.length, all)
  await pool.close()
  return found
}

const dataset = await openDataset(folder)
const paths = []
for await (const item of dataset.items()) {
  if (paths.length === images) break
  if (item.load.kind === 'file') paths.push(item.load.path)
}
console.log(`${paths.length} pictures, ${threads} threads, ${process.version}`)
console.log(
  "model                    a (batch)    a' (batch)   a'/a   b exact  b fast  exact/fast   c      c/(1/(1/a'+1/b))",
)
for (const entry of models) {
  const [model, recipe] = entry.split(':')
  const scratch = await mkdtemp(join(tmpdir(), 'fc7-bench-'))
  try {
    const request = {
      source: folder,
      model,
      cacheFolder: cacheFolder(),
      limit: paths.length,
      thumbs: false,
      provider: 'cpu',
      ...(recipe ? { recipe } : {}),
    }
    const prepared = await prepareExtraction(request)
    const { width, height } = prepared.extraction
    const a = await stock(prepared.backbone.weights.path, { width, height }, prepared.backbone.card.input?.layout)
    const worker = await InferenceWorker.open(await graphFile(prepared), { threads })
    const aa = await best((batch) => {
      const pixels = new SharedArrayBuffer(batch * width * height * 3)
      return rate(batch, () => worker.run(pixels, [batch, height, width, 3]))
    })
    await worker.close()
    const { steps } = prepared.plan.recipe
    const b = await decodeRate(paths, steps, 'exact')
    const fast = await decodeRate(paths, steps, 'fast')
    const rates = []
    for (let i = 0; i < 3; i++) {
      const summary = await runExtraction(prepared, request, {
        out: join(scratch, String(i)),
        threads,
        batch: aa.batch,
        versions: {},
      })
      rates.push(summary.pictures / summary.seconds)
    }
    const c = rates.sort((x, y) => x - y)[1]
    const parts = 1 / (1 / aa.rate + 1 / b)
    const cells = [
      model.split('/').at(-1).padEnd(24),
      `${a.rate.toFixed(1)} (${a.batch})`.padEnd(12),
      `${aa.rate.toFixed(1)} (${aa.batch})`.padEnd(12),
      (aa.rate / a.rate).toFixed(2).padEnd(6),
      b.toFixed(0).padEnd(8),
      fast.toFixed(0).padEnd(7),
      (b / fast).toFixed(2).padEnd(12),
      c.toFixed(1).padEnd(6),
      (c / parts).toFixed(2),
    ]
    console.log(cells.join(' '))
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

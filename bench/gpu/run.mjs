// Run on a machine with a GPU: which providers work, whether they give the CPU's numbers, and how fast they are.
//
//   node bench/gpu/run.mjs <model id or file>[:recipe] [--provider cuda|webgpu] [--batches 1,8,32,128] [--seconds 3]
//
// 1. Tries the provider (all GPU providers without --provider) with the probe that `--provider auto` uses.
// 2. Runs the extraction graph on the same 8 images of noise on CPU and GPU: largest difference over the largest value,
// and the
//    smallest cosine between rows. More than 1e-2, or a cosine under 0.9999, fails: TF32 convolutions lie well below.
// 3. Images a second by batch size, and the ratio to the CPU's best.
// Exits 1 with two lines, what and what to do, where no GPU provider works.
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildExtractionGraph } from '../../dist/backbones/extraction.js'
import { resolveBackbone } from '../../dist/backbones/resolve.js'
import { cacheFolder } from '../../dist/base/cache.js'
import { silentProgress } from '../../dist/base/progress.js'
import { weightsOf } from '../../dist/embeddings/extract/prepare.js'
import { readModel } from '../../dist/onnx/read.js'
import { writeModel } from '../../dist/onnx/write.js'
import { InferencePool } from '../../dist/runtime/inference-pool.js'
import { executionProviders, getProvider, tryProvider } from '../../dist/runtime/providers/registry.js'

const args = process.argv.slice(2)
const value = (name) => (args.includes(`--${name}`) ? args[args.indexOf(`--${name}`) + 1] : undefined)
const [entry] = args
if (!entry || entry.startsWith('--')) {
  console.error('Usage: node bench/gpu/run.mjs <model id or file>[:recipe] [--provider cuda|webgpu]')
  process.exit(2)
}
const [model, recipeName] = entry.split(':')
const batches = (value('batches') ?? '1,8,32,128').split(',').map(Number)
const seconds = Number(value('seconds') ?? 3)
const wanted = value('provider')
  ? [getProvider(value('provider'))]
  : executionProviders.filter((provider) => provider.id !== 'cpu')

const usable = []
let first
for (const provider of wanted) {
  const trial = await tryProvider(provider)
  if (trial.works) usable.push(provider)
  else first ??= { provider, trial }
  console.log(`${provider.title}: ${trial.works ? 'passes the probe' : `does not work (${trial.reason})`}`)
}
if (usable.length === 0) {
  console.error(`bench/gpu: no GPU provider works here; ${first.provider.id}: ${first.trial.reason}.`)
  console.error(first.trial.fix)
  process.exit(1)
}

const resolved = await resolveBackbone(model, { cacheFolder: cacheFolder(), recipeName, offline: false })
const weights = await weightsOf(resolved, { cacheFolder: cacheFolder(), progress: silentProgress })
const folder = await mkdtemp(join(tmpdir(), 'fc7-gpu-'))
const options = { recipe: resolved.recipe.recipe, card: resolved.card }
const read = await readModel(weights.path)

/** A pool on the graph that extraction would run with this provider: exact rewrites are for the CPU. */
async function open(provider, threads) {
  const extraction = buildExtractionGraph(read, provider.id === 'cpu' ? options : { ...options, rewrites: [] })
  const path = join(folder, `${provider.id}.onnx`)
  await writeModel(extraction.model, path)
  const pool = await InferencePool.open(path, { providers: provider.sessionProviders, threads })
  return { pool, ...extraction }
}

function noise(bytes) {
  const pixels = new SharedArrayBuffer(bytes)
  const view = new Uint8Array(pixels)
  for (let i = 0, state = 1; i < bytes; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    view[i] = state >>> 24
  }
  return pixels
}

async function throughput({ pool, width, height }, batch) {
  const pixels = noise(batch * width * height * 3)
  const dims = [batch, height, width, 3]
  await pool.run(pixels, dims)
  const started = performance.now()
  let images = 0
  while (performance.now() - started < seconds * 1000) {
    await Promise.all([pool.run(pixels, dims), pool.run(pixels, dims)])
    images += 2 * batch
  }
  return (1000 * images) / (performance.now() - started)
}

function compare(got, expected, rows) {
  let largest = 0
  let difference = 0
  let cosine = 1
  const dim = expected.length / rows
  for (let row = 0; row < rows; row++) {
    let [dot, a, b] = [0, 0, 0]
    for (let i = row * dim; i < (row + 1) * dim; i++) {
      dot += got[i] * expected[i]
      a += got[i] ** 2
      b += expected[i] ** 2
      largest = Math.max(largest, Math.abs(expected[i]))
      // Not Math.max alone: a NaN must not pass.
      const off = Math.abs(got[i] - expected[i])
      difference = off >= difference || Number.isNaN(off) ? off : difference
    }
    cosine = Math.min(cosine, dot / Math.sqrt(a * b))
  }
  return { relative: difference / largest, cosine }
}

let failed = false
try {
  const threads = availableParallelism()
  const cpu = await open(getProvider('cpu'), threads)
  const rows = 8
  const pixels = noise(rows * cpu.width * cpu.height * 3)
  const dims = [rows, cpu.height, cpu.width, 3]
  const expected = (await cpu.pool.run(pixels, dims)).outputs[0].data
  const cpuRates = []
  for (const batch of [1, 8, 32]) cpuRates.push(await throughput(cpu, batch))
  const cpuBest = Math.max(...cpuRates)
  console.log(
    `cpu, ${threads} threads: ${cpuRates.map((rate) => rate.toFixed(1)).join(', ')} images a second (1, 8, 32)`,
  )
  await cpu.pool.close()
  for (const provider of usable) {
    const gpu = await open(provider, 1)
    const { relative, cosine } = compare((await gpu.pool.run(pixels, dims)).outputs[0].data, expected, rows)
    const right = relative <= 1e-2 && cosine >= 0.9999
    failed ||= !right
    console.log(
      `${provider.id}: embeddings ${right ? 'agree' : 'DO NOT agree'} with the CPU's: difference ${relative.toExponential(1)} relative, cosine ${cosine.toFixed(7)}`,
    )
    for (const batch of batches) {
      const rate = await throughput(gpu, batch)
      console.log(
        `${provider.id}, batch ${batch}: ${rate.toFixed(1)} images a second, ${(rate / cpuBest).toFixed(1)} × cpu`,
      )
    }
    await gpu.pool.close()
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
process.exitCode = failed ? 1 : 0

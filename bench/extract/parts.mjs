// What bench/extract measures: the stock runtime, the extraction graph alone, decoding alone, the whole.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import ort from 'onnxruntime-node'
import { prepareBackbone } from '../../dist/backbones/prepare.js'
import { runExtraction } from '../../dist/embeddings/extract/extract-images.js'
import { graphFile, prepareExtraction, weightsOf } from '../../dist/embeddings/extract/prepare.js'
import { DecodePool } from '../../dist/images/pool/decode-pool.js'
import { readModel } from '../../dist/onnx/read.js'
import { writeModel } from '../../dist/onnx/write.js'
import { InferencePool } from '../../dist/runtime/inference-pool.js'
import { threadSplits } from '../../dist/runtime/machine.js'

const batches = [1, 2, 4, 8, 16, 32]

/** Images a second of `run`, called again and again for at least `seconds` (and twice). */
export async function rate(images, seconds, run) {
  const started = performance.now()
  let count = 0
  while (count < 2 || performance.now() - started < seconds * 1000) {
    await run()
    count++
  }
  return (1000 * images * count) / (performance.now() - started)
}

/**
 * The best of several ways: each is tried for a moment in two rounds, then measured for `seconds` whenever it is asked.
 */
async function fastest(ways) {
  let top
  for (const way of ways) {
    await way.run()
    for (let round = 0; round < 2; round++) {
      const found = await rate(way.images, 0.5, way.run)
      if (!top || found > top.found) top = { ...way, found }
    }
  }
  return top
}

/**
 * (a): the unchanged file, and where that has a fixed batch the same graph with an open one, at the best batch size.
 */
export async function stockRuntime(prepared, request, threads, scratch) {
  const { path } = await weightsOf(prepared.backbone, request)
  const { width, height } = prepared.extraction
  const backbone = prepareBackbone(await readModel(path), { ...prepared.backbone.card?.input, width, height })
  const open = join(scratch, 'open-batch.onnx')
  await writeModel(backbone.model, open)
  const sessions = []
  const ways = []
  for (const file of [path, open]) {
    const session = await ort.InferenceSession.create(file, {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
    })
    sessions.push(session)
    const [input] = session.inputMetadata.filter(({ name }) => name === backbone.input.name)
    const fixed = typeof input.shape[0] === 'number' ? input.shape[0] : undefined
    // An unchanged file with an open batch needs no second version.
    if (file === open && ways.some((way) => way.batch !== 1)) break
    for (const batch of fixed === undefined ? batches : [fixed]) {
      const dims = backbone.input.layout === 'NHWC' ? [batch, height, width, 3] : [batch, 3, height, width]
      const data = Float32Array.from({ length: batch * 3 * height * width }, (_, i) => ((i * 7919) % 255) - 120)
      const feeds = { [input.name]: new ort.Tensor('float32', data, dims) }
      ways.push({ batch, images: batch, file, run: () => session.run(feeds) })
    }
  }
  const best = await fastest(ways)
  return {
    name: `batch ${best.batch}${best.file === open ? ', batch opened' : ''}`,
    measure: (seconds) => rate(best.images, seconds, best.run),
    close: () => Promise.all(sessions.map((session) => session.release())),
  }
}

/** (a'): the extraction graph alone, with the best split of the threads at the best batch size. */
export async function extractionGraph(prepared, threads) {
  const { width, height } = prepared.extraction
  const graph = await graphFile(prepared)
  const pools = []
  const ways = []
  for (const split of threadSplits(threads, 1, 1e12)) {
    const pool = await InferencePool.open(graph, { sessions: split.sessions, threads: split.perSession })
    pools.push(pool)
    for (const batch of batches) {
      const buffers = Array.from({ length: 2 * split.sessions }, () => {
        const pixels = new SharedArrayBuffer(batch * width * height * 3)
        new Uint8Array(pixels).forEach((_, i, all) => {
          all[i] = (i * 7919) % 255
        })
        return pixels
      })
      const run = () => Promise.all(buffers.map((pixels) => pool.run(pixels, [batch, height, width, 3])))
      ways.push({ batch, split, images: batch * buffers.length, run })
    }
  }
  const best = await fastest(ways)
  return {
    name: `${best.split.sessions} × ${best.split.perSession}, batch ${best.batch}`,
    measure: (seconds) => rate(best.images, seconds, best.run),
    close: () => Promise.all(pools.map((pool) => pool.close())),
  }
}

/** (b): decode + resize of the images alone, on all threads. */
export function decoding(paths, recipe, threads, resizeMode) {
  const pool = new DecodePool({ recipe, resizeMode, threads, maxQueued: 64 })
  return {
    async measure() {
      const started = performance.now()
      const results = []
      for (const path of paths) {
        await pool.whenRoom()
        results.push(pool.submit({ path }))
      }
      await Promise.all(results)
      return (1000 * paths.length) / (performance.now() - started)
    },
    close: () => pool.close(),
  }
}

/** (c): `extract` end to end into a new folder. */
export function endToEnd(prepared, request, threads, scratch) {
  let count = 0
  return {
    async measure() {
      const out = join(scratch, `store-${count++}`)
      const started = performance.now()
      const summary = await runExtraction(prepared, request, { out, threads })
      const whole = (performance.now() - started) / 1000
      await rm(out, { recursive: true })
      return { rate: summary.images / summary.seconds, startUp: whole - summary.seconds, chosen: summary.chosen }
    },
  }
}

/**
 * Largest difference between the embeddings with and without rewrites of real images, over the largest embedding value.
 */
export async function rewriteError(prepared, request, paths) {
  const { width, height } = prepared.extraction
  const rows = 16
  const pixels = new SharedArrayBuffer(rows * width * height * 3)
  const decoder = new DecodePool({ recipe: prepared.plan.recipe.steps, threads: 1 })
  const size = width * height * 3
  await Promise.all(
    paths.slice(0, rows).map((path, i) => decoder.submit({ path, slot: { buffer: pixels, byteOffset: i * size } })),
  )
  await decoder.close()
  const values = []
  for (const each of [prepared, await prepareExtraction({ ...request, rewrite: false })]) {
    const pool = await InferencePool.open(await graphFile(each))
    values.push((await pool.run(pixels, [rows, height, width, 3])).outputs[0].data)
    await pool.close()
  }
  const [got, expected] = values
  let largest = 0
  let difference = 0
  for (let i = 0; i < got.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i]))
    difference = Math.max(difference, Math.abs(got[i] - expected[i]))
  }
  return difference / largest
}

// What reading three layers in one pass costs against reading one: the same network, images and threads, runs taken in
// turn.
//
//     node bench/backbones/layers.mjs [model = resnet50] [layers = conv3,conv4,avg_pool] [recipe]
//
// The model is an id (it must be in the cache: FC7_CACHE, `fc7 models pull resnet50`) or an ONNX file with a recipe.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const dist = new URL('../../dist/', import.meta.url)
const load = (path) => import(new URL(path, dist))
const { cacheFolder } = await load('base/cache.js')
const { resolveBackbone } = await load('backbones/resolve.js')
const { buildExtractionGraph } = await load('backbones/extraction.js')
const { readModel } = await load('onnx/read.js')
const { writeModel } = await load('onnx/write.js')
const { openSession, closeSession } = await load('runtime/session.js')
const { loadOrt } = await load('runtime/ort.js')

const [, , name = 'resnet50', wanted = 'conv3,conv4,avg_pool', recipeName] = process.argv
const threads = 2
const batch = 8
const rounds = 12
const layers = wanted.split(',')

const backbone = await resolveBackbone(name, { cacheFolder: cacheFolder(), recipeName, offline: true })
if (!backbone.weights) throw new Error(`pull ${name} first`)
const scratch = mkdtempSync(join(tmpdir(), 'fc7-bench-'))
try {
  const open = async (file, options) => {
    const { recipe } = backbone.recipe
    const built = buildExtractionGraph(await readModel(backbone.weights.path), {
      recipe,
      card: backbone.card,
      ...options,
    })
    const path = join(scratch, file)
    await writeModel(built.model, path)
    return { built, session: await openSession(path, { threads }) }
  }
  const one = await open('one.onnx', { layers: [layers.at(-1)] })
  const three = await open('three.onnx', { layers })
  const { width, height } = one.built
  const data = new Uint8Array(batch * width * height * 3).map((_, i) => (i * 31 + (i >> 9)) & 255)
  const input = new (loadOrt().Tensor)('uint8', data, [batch, height, width, 3])
  const time = async ({ session }) => {
    const start = performance.now()
    await session.run({ pixels: input })
    return performance.now() - start
  }
  const times = { one: [], three: [] }
  for (let round = 0; round < rounds + 2; round++) {
    const pair = { one: await time(one), three: await time(three) }
    // The first two rounds warm up.
    if (round >= 2) for (const key of ['one', 'three']) times[key].push(pair[key])
  }
  const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]
  const dims = three.built.layers.map(({ layer, dim }) => `${layer} (${dim})`).join(', ')
  console.log(`${name}, ${threads} threads, batch ${batch}, median of ${rounds}`)
  console.log(`one layer    ${layers.at(-1)}: ${median(times.one).toFixed(1)} ms`)
  console.log(`three layers ${dims}: ${median(times.three).toFixed(1)} ms`)
  console.log(`ratio ${(median(times.three) / median(times.one)).toFixed(3)} (to stay below 1.10)`)
  await closeSession(one.session)
  await closeSession(three.session)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

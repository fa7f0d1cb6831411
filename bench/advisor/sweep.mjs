// What the advisor's layer sweep costs: the graph that gives every layer of the sweep and the source classifier's
// scores, against the one that gives the default layer alone. The same network, images and threads, runs in turn.
// Decoding, the same for both, is left out.
//
//     node bench/advisor/sweep.mjs <model> [recipe] [batch = 8] [rounds = 12]
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { planSweep } from '../../dist/advisor/evidence/depth.js'
import { buildExtractionGraph } from '../../dist/backbones/extraction.js'
import { prepareBackbone } from '../../dist/backbones/prepare.js'
import { resolveBackbone } from '../../dist/backbones/resolve.js'
import { cacheFolder } from '../../dist/base/cache.js'
import { recipeSize } from '../../dist/images/recipe/recipe-size.js'
import { readModel } from '../../dist/onnx/read.js'
import { writeModel } from '../../dist/onnx/write.js'
import { loadOrt } from '../../dist/runtime/ort.js'
import { closeSession, openSession } from '../../dist/runtime/session.js'

const [name = 'resnet50', recipeName, batchText = '8', roundsText = '12'] = process.argv.slice(2)
const [batch, rounds] = [Number(batchText), Number(roundsText)]
const backbone = await resolveBackbone(name, { cacheFolder: cacheFolder(), recipeName, offline: true })
if (!backbone.weights) throw new Error(`pull ${name} first`)
const { recipe } = backbone.recipe
const model = () => readModel(backbone.weights.path)
const sweep = planSweep(
  prepareBackbone(await model(), { ...backbone.card.input, ...recipeSize(recipe) }),
  backbone.card,
)
const layers = [...sweep.layers.map(({ name }) => name), ...(sweep.scores === undefined ? [] : [sweep.scores])]
const scratch = mkdtempSync(join(tmpdir(), 'fc7-bench-'))
try {
  const open = async (file, wanted) => {
    const built = buildExtractionGraph(await model(), {
      recipe,
      card: backbone.card,
      ...(wanted ? { layers: wanted } : {}),
    })
    const path = join(scratch, file)
    await writeModel(built.model, path)
    return { built, session: await openSession(path, { threads: 2 }) }
  }
  const one = await open('one.onnx')
  const all = await open('all.onnx', layers)
  const { width, height } = one.built
  const data = new Uint8Array(batch * width * height * 3).map((_, i) => (i * 31 + (i >> 9)) & 255)
  const pixels = new (loadOrt().Tensor)('uint8', data, [batch, height, width, 3])
  const time = async ({ session }) => {
    const start = performance.now()
    await session.run({ pixels })
    return performance.now() - start
  }
  const times = { one: [], all: [] }
  for (let round = 0; round < rounds + 2; round++) {
    const pair = { one: await time(one), all: await time(all) }
    if (round >= 2) for (const key of ['one', 'all']) times[key].push(pair[key])
  }
  const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]
  const [single, swept] = [median(times.one), median(times.all)]
  console.log(
    JSON.stringify({
      model: name,
      layers: all.built.layers.map(({ layer, dim }) => `${layer} (${dim})`),
      oneMs: Number(single.toFixed(1)),
      sweepMs: Number(swept.toFixed(1)),
      ratio: Number((swept / single).toFixed(3)),
      target: 1.3,
    }),
  )
  await closeSession(one.session)
  await closeSession(all.session)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

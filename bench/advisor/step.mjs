// What a training step costs in forward passes, which src/advisor/evidence/cost.ts estimates with: the fastest forward
// pass (the extraction graph) of a batch against a step of the training graph that trains every layer, runs in turn.
//
//     node bench/advisor/step.mjs <model.onnx>=<recipe>... [STEPS=6] [BATCH=8]
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { buildExtractionGraph } from '../../dist/backbones/extraction.js'
import { resolveBackbone } from '../../dist/backbones/resolve.js'
import { cacheFolder } from '../../dist/base/cache.js'
import { createRandom } from '../../dist/base/random.js'
import { wholeModel } from '../../dist/finetune/plan/boundaries.js'
import { buildHeaded } from '../../dist/finetune/plan/headed.js'
import { trainedParameters } from '../../dist/finetune/plan/network.js'
import { readModel } from '../../dist/onnx/read.js'
import { writeModel } from '../../dist/onnx/write.js'
import { loadOrt } from '../../dist/runtime/ort.js'
import { closeSession, openSession } from '../../dist/runtime/session.js'
import { median, openTraining } from '../finetune/step-time.mjs'

const steps = Number(process.env.STEPS ?? 6)
const batch = Number(process.env.BATCH ?? 8)
const perRun = 2
const scratch = mkdtempSync(join(tmpdir(), 'fc7-bench-'))
try {
  for (const given of process.argv.slice(2)) {
    const [name, recipeName] = given.split('=')
    const { weights, recipe, card } = await resolveBackbone(name, {
      cacheFolder: cacheFolder(),
      recipeName,
      offline: true,
    })
    const built = buildExtractionGraph(await readModel(weights.path), { recipe: recipe.recipe, card })
    const path = join(scratch, `${basename(name)}.onnx`)
    await writeModel(built.model, path)
    const session = await openSession(path, { threads: 2 })
    const data = new Uint8Array(batch * built.width * built.height * 3).map((_, i) => (i * 31 + (i >> 9)) & 255)
    const pixels = new (loadOrt().Tensor)('uint8', data, [batch, built.height, built.width, 3])
    const headed = buildHeaded(await readModel(weights.path), {
      recipe: recipe.recipe,
      card,
      outputs: 10,
      random: createRandom(0),
    })
    const bottom = headed.boundaries[0]
    const training = await openTraining(wholeModel(headed, bottom), trainedParameters(headed, bottom), {
      batch,
      perRun,
    })
    const times = { forward: [], step: [] }
    for (let done = 0; done < steps + perRun; done += perRun) {
      const start = performance.now()
      await session.run({ pixels })
      times.forward.push(performance.now() - start)
      times.step.push(await training.run())
    }
    await training.close()
    await closeSession(session)
    const [forward, step] = [median(times.forward.slice(1)), median(times.step.slice(1))]
    console.log(
      JSON.stringify({
        model: basename(name),
        batch,
        forwardMs: Number(forward.toFixed(1)),
        stepMs: Number(step.toFixed(1)),
        stepOverForward: Number((step / forward).toFixed(2)),
      }),
    )
  }
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

// Memory that the plan of a fine-tuning estimates against the peak of a process that does it, an epoch of made images
// each:
//
//     node bench/finetune/memory.mjs [network,...] [strategies] [batch] [optimizer]
//
// Needs a build and ../shared/models/topologies.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { createRandom } from '../../dist/base/random.js'
import { prepareFinetune } from '../../dist/finetune/plan/prepare.js'
import { runFinetune } from '../../dist/finetune/run.js'
import { withRandomWeights } from '../../dist/onnx/random-weights.js'
import { readModel } from '../../dist/onnx/read.js'
import { writeModel } from '../../dist/onnx/write.js'

const topologies = join(resolve(process.env.FC7_SHARED ?? '../shared'), 'models', 'topologies')
const files = {
  alexnet: 'light_bvlc_alexnet.onnx',
  resnet50: 'light_resnet50.onnx',
  squeezenet: 'light_squeezenet.onnx',
  densenet: 'light_densenet121.onnx',
  googlenet: 'light_inception_v1.onnx',
}

/** In a process of its own: trains, and says what was estimated and what was used. */
async function measure(folder, model, strategy, batch, cache, optimizer) {
  const request = {
    source: join(folder, 'images'),
    model,
    recipe: 'caffe',
    cacheFolder: join(folder, 'cache'),
    options: { strategy, batch, epochs: 1, views: 1, cache: cache === 'cached', seed: 0, lr: 1e-12, optimizer },
  }
  const prepared = await prepareFinetune(request)
  await runFinetune(prepared, {}, { out: join(folder, 'out'), threads: 2, force: true })
  const estimated = Math.max(...prepared.plan.phases.map(({ memoryBytes }) => memoryBytes))
  console.log(JSON.stringify({ estimated, peak: process.resourceUsage().maxRSS * 1024 }))
}

async function main() {
  const networks = (process.argv[2] ?? 'squeezenet,googlenet,resnet50,alexnet').split(',')
  const strategies = (process.argv[3] ?? 'head,last,last-uncached,all').split(',')
  const batch = process.argv[4] ?? '16'
  const optimizer = process.argv[5] ?? 'adamw'
  const folder = mkdtempSync(join(tmpdir(), 'fc7-memory-'))
  const random = createRandom(0)
  try {
    for (const label of ['a', 'b']) {
      mkdirSync(join(folder, 'images', label), { recursive: true })
      for (let i = 0; i < 40; i++) {
        const data = Buffer.from(Uint8Array.from({ length: 64 * 64 * 3 }, () => random.int(256)))
        const path = join(folder, 'images', label, `${i}.png`)
        await sharp(data, { raw: { width: 64, height: 64, channels: 3 } })
          .resize(256, 256)
          .png()
          .toFile(path)
      }
    }
    for (const network of networks) {
      const model = join(folder, `${network}.onnx`)
      await writeModel(withRandomWeights(await readModel(join(topologies, files[network])), network), model)
      for (const name of strategies) {
        const [strategy, uncached] = name.split('-')
        const args = ['measure', folder, model, strategy, batch, uncached ? 'uncached' : 'cached', optimizer]
        const run = spawnSync(process.execPath, [fileURLToPath(import.meta.url), ...args], { encoding: 'utf8' })
        if (run.status !== 0) {
          console.error(run.stderr)
          continue
        }
        const { estimated, peak } = JSON.parse(run.stdout.trim().split('\n').at(-1))
        const mib = (bytes) => Math.round(bytes / 2 ** 20)
        const line = {
          network,
          strategy: name,
          batch: Number(batch),
          optimizer,
          estimatedMiB: mib(estimated),
          peakMiB: mib(peak),
        }
        console.log(JSON.stringify({ ...line, ratio: Number((estimated / peak).toFixed(2)) }))
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (process.argv[2] === 'measure')
  await measure(...process.argv.slice(3, 5), process.argv[5], Number(process.argv[6]), process.argv[7], process.argv[8])
else await main()

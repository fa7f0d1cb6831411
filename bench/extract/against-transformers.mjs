// `extract` end to end against transformers.js' image-feature-extraction: the same model file, images and threads, in
// turn.
//
//   (cd bench/extract/transformers-js && ONNXRUNTIME_NODE_INSTALL=skip npm install)
//   node bench/extract/against-transformers.mjs <folder> --model <id or file>[:recipe] [--images 300] [--threads 2]
//   [--rounds 3] [--batch-size 8]
//
// The file that both run is the backbone cut at its default layer: float32 `pixel_values` in, `pooler_output` out.
// transformers.js resizes the short side to 256 and crops as a ResNet's processor does; it is asked for batches of
// --batch-size images.
import { fork } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { prepareBackbone } from '../../dist/backbones/prepare.js'
import { cacheFolder } from '../../dist/base/cache.js'
import { openDataset } from '../../dist/datasets/open.js'
import { runExtraction } from '../../dist/embeddings/extract/extract-images.js'
import { prepareExtraction, weightsOf } from '../../dist/embeddings/extract/prepare.js'
import { node, valueInfo } from '../../dist/onnx/build.js'
import { cutGraph, renameTensors, withGraph, withModel } from '../../dist/onnx/edit.js'
import { readModel } from '../../dist/onnx/read.js'
import { writeModel } from '../../dist/onnx/write.js'

const args = process.argv.slice(2)
const value = (name, fallback) => (args.includes(`--${name}`) ? args[args.indexOf(`--${name}`) + 1] : fallback)
const [folder] = args
const [model, recipe] = value('model', 'resnet50').split(':')
const images = Number(value('images', 300))
const threads = Number(value('threads', availableParallelism()))
const rounds = Number(value('rounds', 3))
const batch = Number(value('batch', 8))

const dataset = await openDataset(folder)
const paths = []
for await (const item of dataset.items()) {
  if (paths.length === images) break
  if (item.load.kind === 'file') paths.push(item.load.path)
}
const scratch = await mkdtemp(join(tmpdir(), 'fc7-against-'))
try {
  const base = {
    source: folder,
    cacheFolder: cacheFolder(),
    limit: images,
    provider: 'cpu',
    thumbs: false,
    ...(recipe ? { recipe } : {}),
  }
  // The backbone up to its default layer, as one file for both.
  const first = await prepareExtraction({ ...base, model })
  const { width, height, layers } = first.extraction
  const backbone = prepareBackbone(await readModel((await weightsOf(first.backbone, base)).path), {
    ...first.backbone.card?.input,
    width,
    height,
  })
  if (backbone.input.layout !== 'NCHW') throw new Error('transformers.js feeds NCHW only: choose another model')
  const pooled = layers[0].shape.split(',').length > 2
  const end = pooled
    ? [
        node('GlobalAveragePool', [layers[0].tensor], ['fc7/pooled']),
        node('Flatten', ['fc7/pooled'], ['pooler_output'], { axis: 1 }),
      ]
    : [node('Identity', [layers[0].tensor], ['pooler_output'])]
  const whole = withGraph(backbone.graph, { node: [...backbone.graph.node, ...end] })
  const cut = cutGraph(
    whole,
    [valueInfo('pooler_output', 'float32', ['N', layers[0].dim])],
    [valueInfo(backbone.input.name, 'float32', ['N', 3, height, width])],
  )
  const graph = renameTensors(cut, (name) => (name === backbone.input.name ? 'pixel_values' : name))
  const home = join(scratch, 'model')
  await mkdir(join(home, 'onnx'), { recursive: true })
  const file = join(home, 'onnx', 'model.onnx')
  await writeModel(withModel(backbone.model, { graph }), file)
  await writeFile(join(home, 'config.json'), JSON.stringify({ model_type: 'resnet', architectures: ['ResNetModel'] }))
  await writeFile(
    join(home, 'preprocessor_config.json'),
    JSON.stringify({
      image_processor_type: 'ViTFeatureExtractor',
      do_resize: true,
      size: { shortest_edge: 256 },
      resample: 2,
      do_center_crop: true,
      crop_size: { width, height },
      do_rescale: true,
      rescale_factor: 1 / 255,
      do_normalize: true,
      image_mean: [0.485, 0.456, 0.406],
      image_std: [0.229, 0.224, 0.225],
    }),
  )
  const server = fileURLToPath(new URL('transformers-js/server.mjs', import.meta.url))
  const child = fork(server, [home, String(threads), String(batch)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const answer = () =>
    new Promise((resolve, reject) => {
      child.once('message', resolve)
      child.once('exit', (code) => reject(new Error(`transformers.js ended with ${code}`)))
    })
  await answer()
  const request = { ...base, model: file, recipe: 'torchvision', layers: [pooled ? 'fc7/pooled' : layers[0].tensor] }
  const prepared = await prepareExtraction(request)
  const ratios = []
  for (let round = 0; round < rounds; round++) {
    child.send(paths)
    const theirs = await answer()
    const out = join(scratch, `store-${round}`)
    const ours = await runExtraction(prepared, request, { out, threads })
    const rates = [ours.images / ours.seconds, paths.length / theirs.seconds]
    ratios.push(rates[0] / rates[1])
    console.log(
      `round ${round + 1}: fc7 ${rates[0].toFixed(1)}, transformers.js ${rates[1].toFixed(1)} images a second (${theirs.dims.join('×')}): ${ratios.at(-1).toFixed(2)}`,
    )
  }
  child.kill()
  console.log(`median ratio ${ratios.toSorted((a, b) => a - b)[ratios.length >> 1].toFixed(2)} (at least 1.25 wanted)`)
} finally {
  await rm(scratch, { recursive: true, force: true })
}

// Peak memory of `fc7 extract` for few and for many small images: it must not grow with their number.
//
//   node bench/extract/memory.mjs [few, default 2000] [many, default 20000]
//
// Generates JPEGs in a temporary folder, runs the built command on each set in a process of its own with a small
// network, and prints the peak resident memory (VmHWM, Linux) and the ratio. At most 1.10 is wanted.
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { encodeModel, GraphBuilder } from '../../dist/onnx/build.js'

const [few = 2000, many = 20000] = process.argv.slice(2).map(Number)
const bin = fileURLToPath(new URL('../../bin/fc7.js', import.meta.url))

/** Conv, pool, 256 values: next to nothing, so that images fly by. */
function tinyNetwork() {
  const g = new GraphBuilder('tiny')
  g.input('data', 'float32', ['N', 3, 32, 32])
  g.initializer(
    'w1',
    'float32',
    [16, 3, 3, 3],
    Float32Array.from({ length: 432 }, (_, i) => Math.sin(i)),
  )
  g.initializer(
    'w2',
    'float32',
    [256, 16],
    Float32Array.from({ length: 4096 }, (_, i) => Math.cos(i)),
  )
  g.initializer(
    'w3',
    'float32',
    [3, 256],
    Float32Array.from({ length: 768 }, (_, i) => Math.sin(i)),
  )
  const relu = g.add('Relu', [g.add('Conv', ['data', 'w1'])])
  const pooled = g.add('Flatten', [g.add('GlobalAveragePool', [relu])])
  const hidden = g.add('Relu', [g.add('Gemm', [pooled, 'w2'], { transB: 1 })])
  g.add('Gemm', [hidden, 'w3'], { transB: 1 }, { outputs: ['y'] })
  g.output('y', 'float32', ['N', 3])
  return encodeModel(g.model(13))
}

async function peak(args) {
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
  let kilobytes = 0
  const watch = setInterval(async () => {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '')
    kilobytes = Math.max(kilobytes, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0))
  }, 100)
  const code = await new Promise((resolve) => child.on('exit', resolve))
  clearInterval(watch)
  if (code !== 0) throw new Error(`fc7 ended with ${code}`)
  return kilobytes / 1024
}

const root = await mkdtemp(join(tmpdir(), 'fc7-memory-'))
try {
  await writeFile(join(root, 'tiny.onnx'), tinyNetwork())
  // A hundred different images; the others are links to them: only their number matters here.
  await mkdir(join(root, 'pool'))
  for (let i = 0; i < 100; i++) {
    const data = Uint8Array.from({ length: 64 * 48 * 3 }, (_, j) => (i * 31 + j * (1 + (i % 7))) % 256)
    const file = join(root, 'pool', `${i}.jpg`)
    await writeFile(
      file,
      await sharp(data, { raw: { width: 64, height: 48, channels: 3 } })
        .jpeg()
        .toBuffer(),
    )
  }
  const found = {}
  for (const count of [few, many]) {
    const folder = join(root, String(count))
    for (let i = 0; i < 10; i++) await mkdir(join(folder, `class${i}`), { recursive: true })
    for (let i = 0; i < count; i++)
      await symlink(join(root, 'pool', `${i % 100}.jpg`), join(folder, `class${i % 10}`, `${i}.jpg`))
    const megabytes = await peak([
      ...['extract', folder, '--model', join(root, 'tiny.onnx'), '--recipe', 'torchvision', '--provider', 'cpu'],
      ...['--allow-outside', '--cache', join(root, 'cache'), '--out', join(root, `store-${count}`), '--quiet'],
    ])
    found[count] = megabytes
    console.log(`${count} images: peak ${megabytes.toFixed(0)} MiB`)
  }
  const ratio = found[many] / found[few]
  console.log(`ratio ${ratio.toFixed(3)} (at most 1.10 wanted)`)
  process.exitCode = ratio <= 1.1 ? 0 : 1
} finally {
  await rm(root, { recursive: true, force: true })
}

// What reading and writing a large model costs against the plain bytes: time as a ratio to fs in the same run, and
// memory as a multiple of the weights, each step in a process of its own.
//
//     node bench/onnx/copies.mjs [megabytes = 1024]
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const dist = new URL('../../dist/', import.meta.url)
const mebi = 1 << 20
const partBytes = 32 * mebi

/** Runs one step in this process and prints what it took. */
async function step(name, folder, megabytes) {
  const { GraphBuilder, tensor } = await import(new URL('onnx/build.js', dist))
  const { readModel } = await import(new URL('onnx/read.js', dist))
  const { writeModel } = await import(new URL('onnx/write.js', dist))
  const { open, readFile } = await import('node:fs/promises')
  const parts = () =>
    Array.from({ length: (megabytes * mebi) / partBytes }, (_, i) => new Uint8Array(partBytes).fill(i + 1))
  const model = (weights) => {
    const graph = new GraphBuilder('large')
    graph.input('x', 'float32', ['N', 4])
    graph.add('Relu', ['x'], {}, { outputs: ['y'] })
    graph.output('y', 'float32', ['N', 4])
    weights.forEach((bytes, i) => {
      graph.initializers.push(tensor(`w${i}`, 'uint8', [bytes.length], bytes))
    })
    return graph.model()
  }
  const path = join(folder, 'm.onnx')
  const steps = {
    'plain write': async () => {
      const made = parts()
      // fc7 syncs what it writes before it renames it, so the plain bytes are synced too.
      return async () => {
        const handle = await open(join(folder, 'plain'), 'w')
        for (const part of made) await handle.write(part)
        await handle.sync()
        await handle.close()
      }
    },
    'write inside': async () => {
      const made = model(parts())
      return () => writeModel(made, path)
    },
    'plain read': async () => () => readFile(join(folder, 'plain')),
    'read inside': async () => () => readModel(path),
    'write beside': async () => {
      const made = model(parts())
      return () => writeModel(made, join(folder, 'e.onnx'), { weights: 'external' })
    },
    'read beside': async () => () => readModel(join(folder, 'e.onnx')),
  }
  const run = await steps[name]()
  globalThis.gc?.()
  const before = process.memoryUsage().rss
  const start = performance.now()
  const kept = await run()
  const milliseconds = performance.now() - start
  // The largest the process ever was; what stood before the step (the weights to write) is taken off.
  const peak = process.resourceUsage().maxRSS * 1024 - before
  globalThis.kept = kept
  process.stdout.write(JSON.stringify({ milliseconds, grown: peak / (megabytes * mebi) }))
}

const [, , first = '1024', name, folder] = process.argv
if (name) await step(name, folder, Number(first))
else {
  const scratch = mkdtempSync(join(tmpdir(), 'fc7-bench-'))
  try {
    const measure = (what) => {
      const child = spawnSync(process.execPath, ['--expose-gc', fileURLToPath(import.meta.url), first, what, scratch], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      return JSON.parse(child.stdout)
    }
    const results = new Map()
    for (const what of ['plain write', 'write inside', 'plain read', 'read inside', 'write beside', 'read beside'])
      results.set(what, measure(what))
    const line = (what, against) => {
      const { milliseconds, grown } = results.get(what)
      const ratio = milliseconds / results.get(against).milliseconds
      console.log(
        `${what.padEnd(13)} ${milliseconds.toFixed(0).padStart(6)} ms, ${ratio.toFixed(2)} of ${against}; memory grew by ${grown.toFixed(2)} of the weights`,
      )
    }
    console.log(`${first} MiB of weights`)
    for (const what of ['plain write', 'write inside', 'write beside']) line(what, 'plain write')
    for (const what of ['plain read', 'read inside', 'read beside']) line(what, 'plain read')
    console.log(`file ${statSync(join(scratch, 'm.onnx')).size} bytes`)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

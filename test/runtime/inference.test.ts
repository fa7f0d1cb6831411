import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { encodeModel, GraphBuilder } from '../../src/onnx/build.js'
import { InferenceWorker } from '../../src/runtime/inference.js'

let root: string
let model: string
const side = 8

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-inference-'))
  model = join(root, 'sum.onnx')
  const g = new GraphBuilder('sum')
  g.input('pixels', 'uint8', ['N', side, side, 3])
  g.add('ReduceSum', [g.add('Cast', ['pixels'], { to: 1 }), g.ints([1, 2, 3])], { keepdims: 0 }, { outputs: ['sum'] })
  g.output('sum', 'float32', ['N'])
  await writeFile(model, encodeModel(g.model(13)))
})
afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

describe('InferenceWorker', () => {
  it('keeps the pixels of runs that are in flight together apart', async () => {
    const worker = await InferenceWorker.open(model)
    const runs = Array.from({ length: 40 }, (_, i) => {
      const rows = 1 + (i % 5)
      const pixels = new SharedArrayBuffer(5 * side * side * 3)
      new Uint8Array(pixels).fill(i)
      return worker.run(pixels, [rows, side, side, 3])
    })
    const results = await Promise.all(runs)
    results.forEach(({ outputs }, i) => {
      expect([...outputs[0]!.data]).toEqual(new Array(1 + (i % 5)).fill(i * side * side * 3))
    })
    await worker.close()
  })

  it('says what is wrong with a file that is no model, and ends', async () => {
    await writeFile(join(root, 'broken.onnx'), 'nothing')
    await expect(InferenceWorker.open(join(root, 'broken.onnx'))).rejects.toMatchObject({ code: 'SESSION_FAILED' })
  })

  it('reports a run of the wrong shape and goes on with the next', async () => {
    const worker = await InferenceWorker.open(model)
    const pixels = new SharedArrayBuffer(4 * 4 * 3)
    await expect(worker.run(pixels, [1, 4, 4, 3])).rejects.toThrow(/dimension/i)
    const good = new SharedArrayBuffer(side * side * 3)
    expect((await worker.run(good, [1, side, side, 3])).outputs[0]!.data[0]).toBe(0)
    await worker.close()
  })
})

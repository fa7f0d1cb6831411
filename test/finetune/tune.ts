import { createHash } from 'node:crypto'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Progress, silentProgress } from '../../src/base/progress.js'
import { prepareFinetune } from '../../src/finetune/plan/prepare.js'
import { runFinetune } from '../../src/finetune/run.js'
import { type ModelProto, TensorProto_DataType } from '../../src/onnx/generated/onnx_pb.js'
import { readModel } from '../../src/onnx/read.js'
import { floatsOf } from '../../src/onnx/values.js'
import { graphOf } from '../../src/onnx/walk.js'
import { tinyModel, writeTinyImages } from '../support/tiny.js'

/** Float weights of a model by name. */
export const floatWeights = (model: ModelProto): Map<string, Float32Array> =>
  new Map(
    graphOf(model).initializer.flatMap((entry) =>
      entry.dataType === TensorProto_DataType.FLOAT ? [[entry.name, Float32Array.from(floatsOf(entry))] as const] : [],
    ),
  )

/** Progress that tells `each` of every update of the training, from its first step on. */
export const watched = (each: (done: number, note: string) => void): Progress => ({
  ...silentProgress,
  task: ({ label }) => ({
    update(done, note = '') {
      if (label.startsWith('Training')) each(done, note)
    },
    end() {},
  }),
})

/** A folder with the tiny network and images of three colours, and what fine-tunes in it. */
export async function openWorkshop() {
  const root = await mkdtemp(join(tmpdir(), 'fc7-finetune-'))
  await writeFile(join(root, 'tiny.onnx'), tinyModel())
  await writeTinyImages(join(root, 'photos'), { train: 12, test: 5 })
  const request = (options: Record<string, unknown>, source = 'photos') => ({
    source: join(root, source),
    model: join(root, 'tiny.onnx'),
    recipe: 'torchvision',
    cacheFolder: join(root, 'cache'),
    options: { batchSize: 8, ...options },
  })
  async function tune(
    out: string,
    options: Record<string, unknown>,
    more: { signal?: AbortSignal; progress?: Progress; source?: string; keepFrozen?: boolean; force?: boolean } = {},
  ) {
    const { source, keepFrozen = false, force = false, ...rest } = more
    const asked = { ...request(options, source), ...rest }
    return runFinetune(await prepareFinetune(asked), asked, {
      out: join(root, out),
      threads: 1,
      checkpointSteps: 2,
      cacheFolder: asked.cacheFolder,
      keepFrozen,
      force,
    })
  }
  /** Stops a training after `steps` steps of a phase, as Ctrl-C does. */
  async function cut(out: string, options: Record<string, unknown>, steps: number, phase = 1, keepFrozen = false) {
    const controller = new AbortController()
    let [phases, last] = [0, Number.POSITIVE_INFINITY]
    const progress = watched((done) => {
      if (done < last) phases++
      last = done
      if (phases === phase && done >= steps) controller.abort()
    })
    return tune(out, options, { signal: controller.signal, progress, keepFrozen }).then(
      () => 'finished',
      (error) => error.code,
    )
  }
  return {
    root,
    request,
    tune,
    cut,
    hash: async (...path: string[]): Promise<string> =>
      createHash('sha256')
        .update(await readFile(join(root, ...path)))
        .digest('hex'),
    weightsIn: async (out: string) => floatWeights(await readModel(join(root, out, 'model.onnx'))),
  }
}

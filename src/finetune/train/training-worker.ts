// The body of the training thread: a step blocks whoever makes it, and decoding must go on meanwhile.
import { serve, Transferred } from '../../base/worker/serve.js'
import { loadOrt, type OrtModule, type Session } from '../../runtime/ort.js'
import { closeSession, openSession } from '../../runtime/session.js'
import { TrainingRunner } from '../../training/runner.js'
import type { OpenRequest, TrainingRequests } from './training-requests.js'

let opened: (OpenRequest & { readonly runner: TrainingRunner; readonly evaluation: Session }) | undefined

/** The rows as an ordinary typed array: onnxruntime refuses shared memory. */
function ordinary(data: ArrayBuffer | SharedArrayBuffer): Float32Array | Uint8Array {
  const own = data instanceof ArrayBuffer ? data : new Uint8Array(new Uint8Array(data)).buffer
  return opened!.graph.inputType === 'uint8' ? new Uint8Array(own) : new Float32Array(own)
}

async function evaluate({ data, rows }: TrainingRequests['evaluate']['ask']): Promise<Float32Array> {
  const { runner, evaluation, input, graph } = opened!
  const { Tensor } = loadOrt()
  const dims = [rows, ...graph.rowShape]
  const values = ordinary(data)
  const feeds: Record<string, InstanceType<OrtModule['Tensor']>> = {
    [input]: values instanceof Uint8Array ? new Tensor('uint8', values, dims) : new Tensor('float32', values, dims),
  }
  const now = runner.snapshot()
  for (const { name, kind, dims: shape } of graph.loopState)
    if (kind === 'parameter' || kind === 'statistic') feeds[name] = new Tensor('float32', now.get(name)!, [...shape])
  return (await evaluation.run(feeds)).logits!.data as Float32Array
}

async function open(request: OpenRequest): Promise<null> {
  const { threads } = request
  const runner = await TrainingRunner.open(request.graph, { threads })
  // Two sessions take turns here: this one's threads must not spin while the next epoch begins.
  const evaluation = await openSession(request.evaluationFile, { threads, spinning: false })
  opened = { ...request, runner, evaluation }
  return null
}

serve<TrainingRequests>(
  {
    open,
    run({ rows, steps }) {
      const { runner } = opened!
      runner.setRows({ data: ordinary(rows.data), labels: rows.labels, weights: rows.weights })
      return runner.run(steps)
    },
    evaluate,
    snapshot({ state }) {
      const { runner, graph } = opened!
      const now = runner.snapshot()
      const wanted = graph.loopState.filter(({ kind }) => state || kind === 'parameter' || kind === 'statistic')
      // Copies that are handed over: posting the runtime's own arrays would copy each twice.
      const copies = new Map(wanted.map(({ name }) => [name, Float32Array.from(now.get(name)!)]))
      return new Transferred(
        copies,
        [...copies.values()].map(({ buffer }) => buffer),
      )
    },
    restore({ values, steps }) {
      opened!.runner.restore(values, steps)
      return null
    },
  },
  {
    code: 'TRAIN_FAILED',
    async onClose() {
      if (!opened) return
      await opened.runner.close()
      await closeSession(opened.evaluation)
    },
  },
)

// The body of the inference thread: `session.run` blocks whoever calls it, so the main thread never does.
import { serve, Transferred } from '../base/worker/serve.js'
import type { InferenceRequests, RunRequest, RunResult } from './inference-requests.js'
import { loadOrt, type Session } from './ort.js'
import { closeSession, openSession } from './session.js'
import { threadCpuMs } from './thread-clock.js'

let session: Session | undefined
// onnxruntime refuses shared memory: the pixels are copied once into this reused ordinary buffer.
let staging = new Uint8Array(0)

async function run({ pixels, dims }: RunRequest): Promise<Transferred<RunResult>> {
  const size = dims.reduce((product, n) => product * n, 1)
  if (staging.length < size) staging = new Uint8Array(size)
  staging.set(new Uint8Array(pixels, 0, size))
  const started = performance.now()
  const startedCpuMs = threadCpuMs()
  const { Tensor } = loadOrt()
  const results = await session!.run({
    [session!.inputNames[0]!]: new Tensor('uint8', staging.subarray(0, size), dims),
  })
  const milliseconds = performance.now() - started
  const cpuMilliseconds = startedCpuMs === undefined ? undefined : (threadCpuMs() ?? startedCpuMs) - startedCpuMs
  const outputs = session!.outputNames.map((name) => ({
    name,
    dims: results[name]!.dims,
    data: results[name]!.data as Float32Array<ArrayBuffer>,
  }))
  return new Transferred(
    { outputs, milliseconds, cpuMilliseconds },
    outputs.map((output) => output.data.buffer),
  )
}

serve<InferenceRequests>(
  {
    async open({ model, providers, threads }) {
      // Spinning threads would take the cores that decoding needs.
      session = await openSession(model, { providers, threads, spinning: false })
      return null
    },
    run,
  },
  {
    code: 'INFERENCE_FAILED',
    async onClose() {
      if (session) await closeSession(session)
    },
  },
)

// The body of the inference thread: `session.run` blocks whoever calls it, so the main thread never does.
import { parentPort } from 'node:worker_threads'
import { Fc7Error, messageOf } from '../base/errors.js'
import { loadOrt, type Session } from './ort.js'
import type { FromWorker, RunMessage, ToWorker } from './protocol.js'
import { closeSession, openSession } from './session.js'
import { threadCpuMs } from './thread-clock.js'

const port = parentPort!
let session: Session | undefined
// onnxruntime refuses shared memory: the pixels are copied once into this reused ordinary buffer.
let staging = new Uint8Array(0)

const send = (message: FromWorker, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer)

const fail = (error: unknown, id?: number): void => {
  const known = error instanceof Fc7Error ? error : undefined
  send({
    kind: 'failed',
    id,
    code: known?.code ?? 'INFERENCE_FAILED',
    message: messageOf(error),
    hint: known?.hint ?? '',
  })
}

async function run({ id, pixels, dims }: RunMessage): Promise<void> {
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
  const cpu = startedCpuMs === undefined ? {} : { cpuMilliseconds: (threadCpuMs() ?? startedCpuMs) - startedCpuMs }
  const outputs = session!.outputNames.map((name) => ({
    name,
    dims: results[name]!.dims,
    data: results[name]!.data as Float32Array<ArrayBuffer>,
  }))
  send(
    { kind: 'result', id, result: { outputs, milliseconds, ...cpu } },
    outputs.map((output) => output.data.buffer),
  )
}

async function handle(message: ToWorker): Promise<void> {
  try {
    if (message.kind === 'open') {
      session = await openSession(message.model, {
        providers: message.providers,
        threads: message.threads,
        // Spinning threads would take the cores that decoding needs.
        spinning: false,
      })
      send({ kind: 'opened' })
    } else if (message.kind === 'run') {
      await run(message)
    } else {
      if (session) await closeSession(session)
      send({ kind: 'closed' })
      port.close()
    }
  } catch (error) {
    fail(error, message.kind === 'run' ? message.id : undefined)
  }
}

// One message after another: `session.run` starts a turn of the event loop later than it is called, and a second
// message handled in between would put its pixels into the staging buffer of the first.
let last: Promise<void> = Promise.resolve()
port.on('message', (message: ToWorker) => {
  last = last.then(() => handle(message))
})

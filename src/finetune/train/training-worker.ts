// The body of the training thread: a step blocks whoever makes it, and decoding must go on meanwhile.
import { parentPort } from 'node:worker_threads'
import { Fc7Error, messageOf } from '../../base/errors.js'
import { loadOrt, type OrtModule, type Session } from '../../runtime/ort.js'
import { closeSession, openSession } from '../../runtime/session.js'
import { TrainingRunner } from '../../training/runner.js'
import type { FromThread, OpenRequest, Requests, ToThread } from './thread-protocol.js'

const port = parentPort!
let opened: (OpenRequest & { readonly runner: TrainingRunner; readonly evaluation: Session }) | undefined

/** The rows as an ordinary typed array: onnxruntime refuses shared memory. */
function ordinary(data: ArrayBuffer | SharedArrayBuffer): Float32Array | Uint8Array {
  const own = data instanceof ArrayBuffer ? data : new Uint8Array(new Uint8Array(data)).buffer
  return opened!.graph.inputType === 'uint8' ? new Uint8Array(own) : new Float32Array(own)
}

async function evaluate({ data, rows }: Requests['evaluate']['ask']): Promise<Float32Array> {
  const { runner, evaluation, input, graph } = opened!
  const { Tensor } = loadOrt()
  const dims = [rows, ...graph.rowShape]
  const values = ordinary(data)
  const feeds: Record<string, InstanceType<OrtModule['Tensor']>> = {
    [input]: values instanceof Uint8Array ? new Tensor('uint8', values, dims) : new Tensor('float32', values, dims),
  }
  const now = runner.snapshot()
  for (const { name, kind, dims: shape } of graph.carried)
    if (kind === 'parameter' || kind === 'statistic') feeds[name] = new Tensor('float32', now.get(name)!, [...shape])
  return (await evaluation.run(feeds)).logits!.data as Float32Array
}

async function answer({ kind, ask }: ToThread): Promise<Requests[keyof Requests]['answer']> {
  if (kind === 'open') {
    const request = ask as OpenRequest
    const { threads } = request
    const runner = await TrainingRunner.open(request.graph, { threads })
    // Two sessions take turns here: this one's threads must not spin while the next epoch begins.
    const evaluation = await openSession(request.evaluationFile, { threads, spinning: false })
    opened = { ...request, runner, evaluation }
    return null
  }
  const { runner, evaluation } = opened!
  if (kind === 'run') {
    const { rows, steps } = ask as Requests['run']['ask']
    runner.setRows({ data: ordinary(rows.data), labels: rows.labels, weights: rows.weights })
    return runner.run(steps)
  }
  if (kind === 'evaluate') return evaluate(ask as Requests['evaluate']['ask'])
  if (kind === 'snapshot') {
    const { state } = ask as Requests['snapshot']['ask']
    const now = runner.snapshot()
    const wanted = opened!.graph.carried.filter(({ kind: own }) => state || own === 'parameter' || own === 'statistic')
    // Copies that are handed over: posting the runtime's own arrays would copy each twice.
    return new Map(wanted.map(({ name }) => [name, Float32Array.from(now.get(name)!)]))
  }
  if (kind === 'restore') {
    const { values, steps } = ask as Requests['restore']['ask']
    runner.restore(values, steps)
    return null
  }
  await runner.close()
  await closeSession(evaluation)
  return null
}

async function handle(message: ToThread): Promise<void> {
  let reply: FromThread
  try {
    reply = { id: message.id, answer: await answer(message) }
  } catch (error) {
    const known = error instanceof Fc7Error ? error : undefined
    reply = {
      id: message.id,
      error: { code: known?.code ?? 'TRAIN_FAILED', message: messageOf(error), hint: known?.hint ?? '' },
    }
  }
  const answered = 'answer' in reply ? reply.answer : undefined
  port.postMessage(reply, answered instanceof Map ? [...answered.values()].map(({ buffer }) => buffer) : [])
  if (message.kind === 'close') port.close()
}

// One message after another: a run begins a turn of the event loop after it is called.
let last: Promise<void> = Promise.resolve()
port.on('message', (message: ToThread) => {
  last = last.then(() => handle(message))
})

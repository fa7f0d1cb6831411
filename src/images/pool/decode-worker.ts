// The body of a decoding thread: one task after another, its answer posted back. The work is in decode-task.ts.
import { parentPort, workerData } from 'node:worker_threads'
import sharp from 'sharp'
import type { DecodeSettings, FromDecoder, ToDecoder } from './decode-protocol.js'
import { runDecodeTask } from './decode-task.js'

const port = parentPort!
const settings = workerData as DecodeSettings
sharp.concurrency(1)
sharp.cache(false)

let last: Promise<void> = Promise.resolve()
const send = (message: FromDecoder, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer)

port.on('message', ({ id, task }: ToDecoder) => {
  last = last.then(async () => {
    const result = await runDecodeTask(task, settings)
    send({ id, result }, result.ok && result.pixels ? [result.pixels.buffer as ArrayBuffer] : [])
  })
})
send({ ready: true })

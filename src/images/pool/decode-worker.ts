// The body of a decoding thread: one task after another. The work is in decode-task.ts.
import { workerData } from 'node:worker_threads'
import sharp from 'sharp'
import { serve, Transferred } from '../../base/worker/serve.js'
import type { DecodeRequests, DecodeSettings } from './decode-requests.js'
import { runDecodeTask } from './decode-task.js'

sharp.concurrency(1)
sharp.cache(false)

serve<DecodeRequests>({
  async decode(task) {
    const result = await runDecodeTask(task, workerData as DecodeSettings)
    return new Transferred(result, result.ok && result.pixels ? [result.pixels.buffer as ArrayBuffer] : [])
  },
})

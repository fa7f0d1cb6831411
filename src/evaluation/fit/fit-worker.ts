import { parentPort, workerData } from 'node:worker_threads'
import { Fc7Error, messageOf } from '../../base/errors.js'
import { getTrainer } from '../../trainers/registry.js'
import type { WorkerReply, WorkerRequest, WorkerTables } from './executor.js'
import { runFit } from './fit.js'

// A thread that fits one job after the other; the matrices are shared, everything else comes with the job.
const tables = new Map((workerData as WorkerTables).tables)

parentPort?.on('message', async ({ job, table }: WorkerRequest) => {
  let reply: WorkerReply
  try {
    const { shared, ...rest } = tables.get(table)!
    const result = await runFit(job, { ...rest, x: new Float32Array(shared) }, getTrainer(job.trainer.id))
    reply = { ok: true, result }
  } catch (error) {
    const known = error instanceof Fc7Error
    reply = {
      ok: false,
      code: known ? error.code : null,
      message: messageOf(error),
      hint: known ? error.hint : '',
    }
  }
  parentPort?.postMessage(reply)
})

// A thread that fits one job after the other; the matrices are shared, everything else comes with the job.
import { workerData } from 'node:worker_threads'
import { serve } from '../../base/worker/serve.js'
import { getTrainer } from '../../trainers/registry.js'
import type { FitRequests, WorkerTables } from './executor.js'
import { runFit } from './fit.js'

const tables = new Map((workerData as WorkerTables).tables)

serve<FitRequests>({
  fit({ job, table }, { signal }) {
    const { shared, ...rest } = tables.get(table)!
    return runFit(job, { ...rest, x: new Float32Array(shared) }, getTrainer(job.trainer.id), signal)
  },
})

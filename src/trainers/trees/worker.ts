import { parentPort, workerData } from 'node:worker_threads'
import { perform, type TreeJob, type TreeSetup } from './work.js'

// A thread that grows trees: one message in, one out.
const { setup, thread } = workerData as { setup: TreeSetup; thread: number }
parentPort?.on('message', ({ index, job }: { index: number; job: TreeJob }) => {
  parentPort?.postMessage({ index, result: perform(setup, job, thread) })
})

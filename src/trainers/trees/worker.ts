// A thread that grows trees.
import { workerData } from 'node:worker_threads'
import { serve } from '../../base/worker/serve.js'
import { perform, type TreeRequests, type TreeSetup } from './work.js'

const { setup, thread } = workerData as { setup: TreeSetup; thread: number }
serve<TreeRequests>({ perform: (job) => perform(setup, job, thread) }, { code: 'TRAINING_THREAD' })

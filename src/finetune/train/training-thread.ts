import { Fc7Error } from '../../base/errors.js'
import { WorkerClient } from '../../base/worker/client.js'
import type { OpenRequest, TrainingRequests } from './training-requests.js'

/** A training graph in a thread of its own. Requests are answered in order; several may wait. */
export type TrainingThread = WorkerClient<TrainingRequests>

/** @throws Fc7Error SESSION_FAILED */
export async function openTrainingThread(request: OpenRequest): Promise<TrainingThread> {
  const thread = new WorkerClient<TrainingRequests>({
    url: import.meta.resolve('#workers/finetune/train/training-worker.js'),
    ended: (why) =>
      new Fc7Error('TRAIN_FAILED', `The training thread ended: ${why}.`, {
        hint: 'Is there enough memory? Try a smaller --batch-size.',
      }),
  })
  try {
    await thread.ask('open', request)
    return thread
  } catch (error) {
    await thread.terminate()
    throw error
  }
}

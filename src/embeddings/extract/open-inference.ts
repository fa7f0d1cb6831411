import { InferencePool } from '../../runtime/inference-pool.js'
import { machineFacts, type ThreadSplit, threadSplits } from '../../runtime/machine.js'
import type { ExecutionProvider } from '../../runtime/providers/contract.js'
import type { Inference } from '../store/job.js'

export interface MeasuredSplit extends ThreadSplit {
  /** Images a second of all sessions together, without decoding beside them. */
  readonly rate: number
}

export interface InferenceRequest {
  readonly graph: string
  /** Bytes of the network's weights: each session holds them. */
  readonly modelBytes: number
  readonly provider: ExecutionProvider
  readonly threads: number
  /** Sessions, where the user names their number. */
  readonly sessions?: number | undefined
  /** Images there are to run: a measurement must pay for itself. */
  readonly images: number
  readonly width: number
  readonly height: number
}

export interface OpenedInference {
  readonly pool: InferencePool
  readonly split: ThreadSplit
  readonly measured: readonly MeasuredSplit[]
}

/** From here it pays to open the second split as well: about two seconds of many. */
const minMeasuredImages = 2000

const trialBatch = 8

/** Images a second of two batches a session, after one to warm up. */
async function trial(inference: Inference, { width, height }: InferenceRequest): Promise<number> {
  const sessions = inference.sessions ?? 1
  const pixels = new SharedArrayBuffer(trialBatch * width * height * 3)
  const runs = (count: number) =>
    Promise.all(Array.from({ length: count }, () => inference.run(pixels, [trialBatch, height, width, 3])))
  await runs(sessions)
  const started = performance.now()
  await runs(2 * sessions)
  return (1000 * 2 * sessions * trialBatch) / (performance.now() - started)
}

/**
 * Opens the graph with the split of threads that runs fastest. Few images get the split that is best as a rule; for
 * many, the first two are tried on empty images. A GPU gets one session: it is the device that is shared.
 *
 * @throws Fc7Error SESSION_FAILED, RUNTIME_MISSING
 */
export async function openInference(request: InferenceRequest): Promise<OpenedInference> {
  const { graph, provider, threads } = request
  const open = (split: ThreadSplit): Promise<InferencePool> =>
    InferencePool.open(graph, {
      providers: provider.sessionProviders,
      sessions: split.sessions,
      threads: split.perSession,
    })
  const whole: ThreadSplit = { sessions: 1, perSession: threads }
  const splits =
    provider.id !== 'cpu'
      ? [whole]
      : request.sessions !== undefined
        ? [{ sessions: request.sessions, perSession: Math.max(1, Math.floor(threads / request.sessions)) }]
        : threadSplits(threads, request.modelBytes, machineFacts().memoryBytes)
  const [first = whole, second] = splits
  const pool = await open(first)
  if (!second || request.images < minMeasuredImages) return { pool, split: first, measured: [] }
  const rate = await trial(pool, request)
  // Closed before the other is opened: threadSplits() makes sure of memory for one set of sessions, not two.
  await pool.close()
  const other = await open(second)
  const otherRate = await trial(other, request)
  const measured = [
    { ...first, rate },
    { ...second, rate: otherRate },
  ]
  if (otherRate > rate) return { pool: other, split: second, measured }
  await other.close()
  return { pool: await open(first), split: first, measured }
}

import { Fc7Error, messageOf } from '../base/errors.js'
import { loadOrt, type Session, type SessionOptions } from './ort.js'

export interface OpenSessionOptions {
  /** Execution providers in order, as onnxruntime-node names them. Default `['cpu']`. */
  readonly providers?: readonly string[] | undefined
  /**
   * Threads inside one operator. Default 1: always explicit, because onnxruntime's own default follows the host's
   * cores.
   */
  readonly threads?: number | undefined
  /**
   * Whether threads without work spin for a while before they sleep. Default true: best for one session that runs again
   * and again. Where sessions take turns, the spinning threads of the last one cost the next one a core for tens of
   * milliseconds.
   */
  readonly spinning?: boolean | undefined
  /** Further options of onnxruntime-node. */
  readonly extra?: SessionOptions | undefined
}

/**
 * Opens a session on an ONNX file (by path, so that large weights are not copied) or on the bytes of a small graph. It
 * blocks its thread while it loads. Release it with {@link closeSession}.
 *
 * @throws Fc7Error SESSION_FAILED with onnxruntime's own first line
 */
export async function openSession(model: string | Uint8Array, options: OpenSessionOptions = {}): Promise<Session> {
  const ort = loadOrt()
  const sessionOptions: SessionOptions = {
    executionProviders: [...(options.providers ?? ['cpu'])],
    intraOpNumThreads: options.threads ?? 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    logSeverityLevel: 3,
    ...(options.spinning === false ? { extra: { session: { intra_op: { allow_spinning: '0' } } } } : {}),
    ...options.extra,
  }
  try {
    return typeof model === 'string'
      ? await ort.InferenceSession.create(model, sessionOptions)
      : await ort.InferenceSession.create(model, sessionOptions)
  } catch (error) {
    const what = typeof model === 'string' ? model : 'a built graph'
    throw new Fc7Error('SESSION_FAILED', `onnxruntime refused ${what}: ${messageOf(error).split('\n')[0]}`, {
      hint:
        'Is the file a whole ONNX model whose operators this onnxruntime knows? `fc7 doctor` shows the version and ' +
        'providers.',
      cause: error,
    })
  }
}

/** Frees the native memory of a session now rather than at garbage collection. */
export async function closeSession(session: Session): Promise<void> {
  await session.release()
}

import { setCheckpoint } from '../../src/base/errors.js'

/** A signal that fires at the first look (`isAborted`, `throwIfAborted`) at which `due` says so. */
export function signalWhen(due: () => boolean): AbortSignal {
  const controller = new AbortController()
  setCheckpoint(controller.signal, () => {
    if (due()) controller.abort()
  })
  return controller.signal
}

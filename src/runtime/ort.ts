import { createRequire } from 'node:module'
import type * as Ort from 'onnxruntime-node'
import { Fc7Error, messageOf } from '../base/errors.js'

export type OrtModule = typeof Ort
export type Session = Ort.InferenceSession
export type SessionOptions = Ort.InferenceSession.SessionOptions

const require = createRequire(import.meta.url)
let loaded: OrtModule | undefined

/**
 * onnxruntime-node, loaded on first use. It is an optional dependency because its install script fails where its CUDA
 * download cannot be reached; its absence is explained here.
 *
 * @throws Fc7Error RUNTIME_MISSING
 */
export function loadOrt(): OrtModule {
  if (loaded) return loaded
  try {
    loaded = require('onnxruntime-node') as OrtModule
    return loaded
  } catch (error) {
    throw new Fc7Error('RUNTIME_MISSING', `onnxruntime-node could not be loaded: ${messageOf(error).split('\n')[0]}.`, {
      hint:
        'Install it beside fc7 without its CUDA download: ONNXRUNTIME_NODE_INSTALL=skip npm install ' +
        'onnxruntime-node@1.30.0',
      cause: error,
    })
  }
}

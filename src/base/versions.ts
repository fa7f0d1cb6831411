import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const own = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
  optionalDependencies: Record<string, string>
}

export const fc7Version = own.version

/** Versions that outputs record: fc7's own, Node's, and those of the libraries that decide numbers. */
export function versions(): Record<string, string> {
  const { versions: native } = require('sharp') as {
    versions: { sharp?: string | undefined; vips?: string | undefined }
  }
  return {
    fc7: fc7Version,
    node: process.versions.node,
    'onnxruntime-node': own.optionalDependencies['onnxruntime-node'] ?? 'unknown',
    sharp: native.sharp ?? 'unknown',
    vips: native.vips ?? 'unknown',
  }
}

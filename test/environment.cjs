// jest runs tests in a VM context with typed arrays of its own, which onnxruntime-node's `instanceof` checks refuse: the
// tests get the host's.
const { TestEnvironment } = require('jest-environment-node')

const shared = [
  'ArrayBuffer',
  'SharedArrayBuffer',
  'DataView',
  'Atomics',
  'Float32Array',
  'Float64Array',
  'Int8Array',
  'Int16Array',
  'Int32Array',
  'BigInt64Array',
  'BigUint64Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Uint16Array',
  'Uint32Array',
  'Error',
  'TypeError',
  'RangeError',
]

module.exports = class extends TestEnvironment {
  async setup() {
    await super.setup()
    for (const name of shared) this.global[name] = globalThis[name]
  }
}

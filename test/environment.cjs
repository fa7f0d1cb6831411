// jest runs tests in a VM context with typed arrays of its own, which onnxruntime-node's `instanceof` checks refuse:
// the tests get the host's.
const vm = require('node:vm')
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

const { createContext } = vm

module.exports = class extends TestEnvironment {
  // jest's context asks a proxy at every mention of a global: a loop over Math.max takes a hundred times as long in it
  // as in a program. A context with an ordinary global object is as fast as one.
  constructor(...given) {
    vm.createContext = () => createContext(vm.constants.DONT_CONTEXTIFY)
    try {
      super(...given)
    } finally {
      vm.createContext = createContext
    }
  }

  async setup() {
    await super.setup()
    for (const name of shared) this.global[name] = globalThis[name]
  }
}

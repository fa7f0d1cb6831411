import { Fc7Error } from '../../../base/errors.js'
import { formatBytes } from '../../../base/text.js'

/** Parts of a memory, one behind the other. Behind each stand 16 bytes or more that whole vectors may read. */
export class Layout {
  /** @param end where the first part begins, a multiple of 16 */
  constructor(public end: number) {}

  /** The address of so many bytes. */
  take(bytes: number): number {
    const address = this.end
    this.end += Math.ceil((bytes + 16) / 16) * 16
    return address
  }

  /**
   * Memory that has space for every part; 4 GiB at most. @throws Fc7Error TRAINER_TOO_LARGE where the machine has not
   * so much
   */
  memory(shared = false): WebAssembly.Memory {
    const pages = Math.ceil(this.end / 2 ** 16)
    try {
      return new WebAssembly.Memory(shared ? { initial: pages, maximum: pages, shared } : { initial: pages })
    } catch (error) {
      throw new Fc7Error('TRAINER_TOO_LARGE', `There is no memory for the trees' bins: ${formatBytes(this.end)}.`, {
        hint: 'Train on fewer rows or columns (pca:<n>), with fewer --threads, or close other programs.',
        cause: error,
      })
    }
  }
}

/**
 * Makes a module's exports on a memory; the module is compiled when it is first asked for, `imports` are what it asks
 * for besides.
 */
export function kernelOf<K>(
  module: () => Uint8Array<ArrayBuffer>,
  imports: Readonly<Record<string, (x: number) => number>> = {},
): (memory: WebAssembly.Memory) => K {
  let compiled: WebAssembly.Module | undefined
  return (memory) => {
    compiled ??= new WebAssembly.Module(module())
    return new WebAssembly.Instance(compiled, { env: { ...imports, memory } }).exports as unknown as K
  }
}

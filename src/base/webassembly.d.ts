/** As much of WebAssembly's JavaScript interface as is used here: TypeScript declares it for browsers only. */
declare namespace WebAssembly {
  class Memory {
    constructor(options: { readonly initial: number; readonly maximum?: number; readonly shared?: boolean })
    /** A SharedArrayBuffer where it is shared; typed arrays make no difference. */
    readonly buffer: ArrayBuffer
    grow(pages: number): number
  }
  class Module {
    constructor(bytes: Uint8Array<ArrayBuffer>)
  }
  class Instance {
    constructor(module: Module, imports?: { readonly env: Readonly<Record<string, Memory | ((x: number) => number)>> })
    readonly exports: unknown
  }
}

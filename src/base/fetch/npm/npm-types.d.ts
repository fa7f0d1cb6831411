// The two packages of npm that carry no types; only what is used here.
declare module 'pacote' {
  const pacote: {
    tarball: {
      stream<T>(
        spec: string,
        handler: (stream: AsyncIterable<Uint8Array>) => Promise<T>,
        options: Record<string, unknown>,
      ): Promise<T>
    }
  }
  export default pacote
}

declare module '@npmcli/config' {
  export default class Config {
    constructor(options: Record<string, unknown>)
    load(): Promise<void>
    readonly flat: Record<string, unknown>
  }
}

declare module '@npmcli/config/lib/definitions/index.js' {
  const all: { definitions: unknown; shorthands: unknown; flatten: unknown }
  export default all
}

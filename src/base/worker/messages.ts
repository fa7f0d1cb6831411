/** What a thread can be asked, by name, and what it answers. */
export type Requests = Record<string, { readonly ask: unknown; readonly answer: unknown }>

/** An error on its way between threads: `code` is undefined for one that is not ours. */
export interface SentError {
  readonly code?: string | undefined
  readonly message: string
  readonly hint: string
}

export type ToWorker =
  | { readonly id: number; readonly kind: string; readonly ask: unknown }
  | { readonly cancel: number }
  | { readonly close: true }

export type FromWorker =
  | { readonly ready: true }
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly error: SentError }
  | { readonly id: number; readonly progress: number }

/** A part of an image in pixels of the undecoded image; the embedding is of this part alone. */
export interface Box {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

/**
 * How to get at an image's bytes. `file` and `range` are plain data and may be sent to a worker; `bytes` belongs to the
 * thread that opened the data set; `broken` says why there are none (it ends up in failures.jsonl). Where a file's name
 * is not valid UTF-8, `path` is its bytes.
 */
export type ItemLoad =
  | { readonly kind: 'file'; readonly path: string | Uint8Array }
  | { readonly kind: 'range'; readonly path: string; readonly offset: number; readonly length: number }
  | { readonly kind: 'bytes'; read(): Promise<Uint8Array> }
  | { readonly kind: 'broken'; readonly code: string; readonly message: string }

/** One image of a data set. */
export interface DatasetItem {
  /** Unique within the data set: the path, with the box or the row appended where one path comes several times. */
  readonly id: string
  /** Relative to the data set's root, with `/`; a name that is not valid UTF-8 has its bytes as `\xNN`. */
  readonly path: string
  /** Bytes; 0 when broken. */
  readonly size: number
  readonly label?: string | undefined
  readonly split?: string | undefined
  readonly group?: string | undefined
  readonly box?: Box | undefined
  readonly load: ItemLoad
}

export type Layout = 'labels' | 'splits'

export interface DatasetOptions {
  /** Overrides how a folder is read. */
  readonly layout?: Layout | undefined
  /** A regular expression; its first capture in an item's path becomes the group. */
  readonly groupFrom?: string | undefined
  /** Lets lists and links leave the data set's root. */
  readonly allowOutside?: boolean | undefined
}

/** What a plugin gives back: a walk that can be repeated and always has the same order. */
export interface OpenedSource {
  /** How the data set is read, as one sentence for the user. */
  readonly decision: string
  readonly layout?: Layout | undefined
  /** Items one by one; memory does not grow with their number. */
  items(signal?: AbortSignal): AsyncIterable<DatasetItem>
  /** What the last complete walk left out, as sentences. */
  notes(): readonly string[]
  /** Labels that the last complete walk found without any image (an empty folder), where the form has such a thing. */
  emptyLabels?(): readonly string[]
}

/** One form in which labelled images come. Each plugin is one file, listed in the registry. */
export interface DatasetSource {
  readonly id: string
  /** The form in a few words, for the message that lists them. */
  readonly form: string
  /** Whether `path`, which exists, has this form. */
  recognises(path: string, isFolder: boolean): Promise<boolean>
  open(path: string, options: DatasetOptions): Promise<OpenedSource>
}

import type { AugmentationPlan } from '../augment/augment-plan.js'
import type { ImageBox } from '../decode/decode.js'
import type { ResizeMode } from '../prepare/prepare.js'
import type { Recipe } from '../recipe/recipe.js'

/** What every image of a pool has in common. */
export interface DecodeSettings {
  readonly recipe: Recipe
  readonly resizeMode?: ResizeMode | undefined
  readonly orient?: boolean | undefined
  /** Also make thumbnails and difference hashes. */
  readonly thumbnail?: boolean | undefined
  /** Also hash the bytes with SHA-256. */
  readonly hash?: boolean | undefined
}

/** Where in shared memory an image's pixels go. */
export interface DecodeSlot {
  readonly buffer: SharedArrayBuffer
  readonly byteOffset: number
}

/** One image: from a file (a path as bytes where it is not UTF-8), from a part of a file, or from memory. */
export interface DecodeTask {
  readonly path?: string | Uint8Array | undefined
  /** The bytes of `path` that are the image: an archive's entry. Default the whole file. */
  readonly range?: { readonly offset: number; readonly length: number } | undefined
  readonly bytes?: Uint8Array | undefined
  /** What errors call it. Default the path. */
  readonly name?: string | undefined
  readonly box?: ImageBox | undefined
  readonly slot?: DecodeSlot | undefined
  /** Replaces the recipe's geometry by a drawn view of the same size. */
  readonly augmentation?: AugmentationPlan | undefined
  /** False: no thumbnail of this task, whatever the settings say. */
  readonly thumbnail?: boolean | undefined
  /** Several views of one image, one after another, carry one key: the thread decodes it once. */
  readonly key?: string | undefined
}

export interface DecodedImage {
  readonly ok: true
  /** `uint8 [height, width, 3]` of the recipe's size; absent where a slot was given. */
  readonly pixels?: Uint8Array | undefined
  /** Size of the image or its box before the recipe. */
  readonly width: number
  readonly height: number
  readonly thumbnail?: Uint8Array | undefined
  readonly dHash?: string | undefined
  /** Hex SHA-256 of the image's bytes. */
  readonly sha256?: string | undefined
  /** Bytes of the encoded image. */
  readonly bytes: number
}

export interface DecodeFailure {
  readonly ok: false
  readonly code: string
  readonly message: string
  readonly hint: string
}

export type DecodeResult = DecodedImage | DecodeFailure

/** What a decoding thread can be asked. A bad image is an answer too, never an error. */
export type DecodeRequests = { decode: { ask: DecodeTask; answer: DecodeResult } }

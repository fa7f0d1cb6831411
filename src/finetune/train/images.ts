import type { DatasetItem } from '../../datasets/contract.js'
import { ImageDecoder } from '../../embeddings/extract/image-decoder.js'
import { type AugmentationSettings, planAugmentation } from '../../images/augment/augment-plan.js'
import type { Recipe } from '../../images/recipe/recipe.js'

export interface Rows {
  readonly data: ArrayBuffer | SharedArrayBuffer
  /** 1 for each row that is whole, 0 for an image that could not be read. */
  readonly ok: Float32Array
}

export interface Failure {
  readonly id: string
  readonly path: string
  readonly code: string
  readonly message: string
}

/** Images as pixels, decoded in threads of their own; remembers hashes and failures. */
export class Images {
  readonly hashes = new Map<string, string>()
  readonly failures = new Map<string, Failure>()
  readonly #decoder: ImageDecoder

  readonly #settings: {
    readonly recipe: Recipe
    readonly width: number
    readonly height: number
    readonly threads: number
    readonly orient: boolean
    readonly seed: number
    readonly augmentation: AugmentationSettings
  }

  constructor(
    readonly items: readonly DatasetItem[],
    settings: {
      readonly recipe: Recipe
      readonly width: number
      readonly height: number
      readonly threads: number
      readonly orient: boolean
      readonly seed: number
      readonly augmentation: AugmentationSettings
    },
  ) {
    this.#settings = settings

    const { recipe, threads, orient } = settings
    this.#decoder = new ImageDecoder({ recipe, threads, orient })
  }

  get bytes(): number {
    return this.#settings.width * this.#settings.height * 3
  }

  /** uint8 `[rows, height, width, 3]`; `view` draws each image's augmentation, undefined shows it by its recipe. */
  async rows(
    wanted: readonly number[],
    view: number | undefined,
  ): Promise<Rows & { readonly data: SharedArrayBuffer }> {
    const data = new SharedArrayBuffer(wanted.length * this.bytes)
    const ok = new Float32Array(wanted.length)
    await Promise.all(
      wanted.map(async (index, row) => {
        const item = this.items[index]!
        const { seed, augmentation } = this.#settings
        const pose =
          view === undefined
            ? undefined
            : { thumbnail: false, augmentation: planAugmentation(seed, view, item.id, augmentation) }
        const result = await this.#decoder.decode(item, data, row * this.bytes, pose)
        if (result.ok) {
          ok[row] = 1
          this.hashes.set(item.id, result.sha256)
        } else this.failures.set(item.id, { id: item.id, path: item.path, code: result.code, message: result.message })
      }),
    )
    return { data, ok }
  }

  close(): Promise<void> {
    return this.#decoder.close()
  }
}

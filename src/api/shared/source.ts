import type { Layout } from '../../datasets/contract.js'
import type { ExtractionRequest } from '../../embeddings/extract/prepare.js'
import type { TestViews } from '../../images/augment/augment-plan.js'
import type { Context } from './context.js'

/** The backbone that images are embedded with where nobody names one. */
export const defaultModel = 'resnet50'

/** How images are read and embedded. */
export interface SourceOptions {
  /** Backbone id or ONNX file. */
  readonly model?: string | undefined
  /** Layers by alias or tensor name. Default: the input of the last classifier op. */
  readonly layers?: readonly string[] | undefined
  /** What layers with height and width become. Default `avg`. */
  readonly pool?: 'avg' | 'max' | 'none' | undefined
  /** Preprocessing. Default: the card's first. */
  readonly recipe?: string | undefined
  /** `auto`, `cpu`, `cuda` or `webgpu`. Default `auto`. */
  readonly provider?: string | undefined
  /** Takes that many images. Default: all. */
  readonly limit?: number | undefined
  /** Rows of each training image: itself and seeded crops and mirror images. Default 1. */
  readonly views?: number | undefined
  /** Averages these views of every image outside the train split. */
  readonly testViews?: TestViews | undefined
  /** What first-level folders mean. Default: decided from their names. */
  readonly layout?: Layout | undefined
  /** Regular expression whose first capture of an image's path is its group. */
  readonly groupFrom?: string | undefined
  /** Lets lists and links leave the data set's folder. Default false. */
  readonly allowOutside?: boolean | undefined
  /** Keeps thumbnails for reports. Default true. */
  readonly thumbs?: boolean | undefined
  /** Uses exact graph rewrites that are faster. Default true. */
  readonly rewrite?: boolean | undefined
  /** Turns images as their EXIF orientation says. Default false. */
  readonly orient?: boolean | undefined
  /** The reference's resampler to the bit, or libvips'. Default `exact`. */
  readonly resize?: 'exact' | 'fast' | undefined
  /** Precision of the stored values. Default `float32`. */
  readonly dtype?: 'float32' | 'float16' | undefined
  /** Images a shard file. */
  readonly shardSize?: number | undefined
}

/** The options as the extraction takes them. */
export function extractionRequest(source: string, options: SourceOptions, context: Context): ExtractionRequest {
  return {
    source,
    model: options.model ?? defaultModel,
    layers: options.layers,
    pool: options.pool,
    recipe: options.recipe,
    provider: options.provider,
    limit: options.limit,
    views: options.views,
    testViews: options.testViews,
    layout: options.layout,
    groupFrom: options.groupFrom,
    allowOutside: options.allowOutside,
    thumbs: options.thumbs,
    rewrite: options.rewrite,
    orient: options.orient,
    resize: options.resize,
    precision: options.dtype,
    shardSize: options.shardSize,
    ...context,
  }
}

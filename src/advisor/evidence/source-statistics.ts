import { join } from 'node:path'
import { z } from 'zod'
import { cardsFolder } from '../../backbones/library.js'
import { Fc7Error } from '../../base/errors.js'
import { readIfPresent } from '../../base/files.js'
import type { SourceStatistics } from './distance.js'

const base64 = z.base64().max(8 << 20)

/** `onnx-models/source/<id>.json`; docs/advise.md says how one is made. */
export const sourceFileSchema = z.strictObject({
  format: z.literal(1),
  backbone: z.string(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  layer: z.string(),
  recipe: z.string(),
  /** Which images these are. */
  about: z.string(),
  dim: z.int().min(1).max(65_536),
  components: z.int().min(1).max(256),
  rows: z.int().min(2).max(4096),
  /** Little-endian float32 in base64. */
  mean: base64,
  axes: base64,
  variances: base64,
  sample: base64,
})

export type SourceFile = z.infer<typeof sourceFileSchema>

function floats(text: string, count: number, name: string): Float32Array {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length !== 4 * count) {
    throw new Fc7Error(
      'SOURCE_STATISTICS_BROKEN',
      `The source statistics hold ${bytes.length} bytes of ${name}, not ${4 * count}.`,
      {
        hint: 'Make the file again as docs/advise.md describes.',
      },
    )
  }
  return Float32Array.from({ length: count }, (_, i) => bytes.readFloatLE(4 * i))
}

/** The file's text of an array of numbers. */
export function encodeFloats(values: ArrayLike<number>): string {
  const bytes = Buffer.alloc(4 * values.length)
  for (let i = 0; i < values.length; i++) bytes.writeFloatLE(values[i]!, 4 * i)
  return bytes.toString('base64')
}

/** @throws Fc7Error SOURCE_STATISTICS_BROKEN */
export function decodeSource(file: unknown): {
  readonly about: string
  readonly statistics: SourceStatistics
  readonly file: SourceFile
} {
  const parsed = sourceFileSchema.safeParse(file)
  if (!parsed.success) {
    throw new Fc7Error(
      'SOURCE_STATISTICS_BROKEN',
      `The source statistics are not valid: ${parsed.error.issues[0]?.message}.`,
      {
        hint: 'Make the file again as docs/advise.md describes.',
      },
    )
  }
  const { dim, components, rows, mean, axes, variances, sample, about } = parsed.data
  return {
    about,
    file: parsed.data,
    statistics: {
      mean: floats(mean, dim, 'mean'),
      axes: { data: floats(axes, components * dim, 'axes'), rows: components, cols: dim },
      variances: Float64Array.from(floats(variances, components, 'variances')),
      sample: { data: floats(sample, rows * components, 'sample'), rows, cols: components },
    },
  }
}

/**
 * The statistics of a backbone's own training images at one layer, or undefined where none were made, or they are of
 * other weights, another layer or recipe: distances between different embeddings mean nothing.
 */
export async function sourceStatistics(
  wanted: {
    readonly backbone: string
    readonly sha256: string
    readonly layer: string
    readonly recipe: string
    readonly dim: number
  },
  folder: string = join(cardsFolder, 'source'),
): Promise<{ readonly about: string; readonly statistics: SourceStatistics } | undefined> {
  if (!/^[\w.-]+$/.test(wanted.backbone)) return undefined
  const bytes = await readIfPresent(join(folder, `${wanted.backbone}.json`))
  if (!bytes) return undefined
  const { file, about, statistics } = decodeSource(JSON.parse(bytes.toString('utf8')))
  const fits =
    file.sha256 === wanted.sha256 &&
    file.layer === wanted.layer &&
    file.recipe === wanted.recipe &&
    file.dim === wanted.dim
  return fits ? { about, statistics } : undefined
}

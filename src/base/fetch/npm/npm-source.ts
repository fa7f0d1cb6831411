import { z } from 'zod'

/** A path inside a package that cannot lead out of it. */
const innerPath = z
  .string()
  .min(1)
  .refine(
    (path) => !path.startsWith('/') && !/[\\:\0]/.test(path) && !path.split('/').includes('..'),
    'must stay inside',
  )

export const npmSourceSchema = z.strictObject({
  kind: z.literal('npm'),
  package: z.string().regex(/^(@[a-z0-9._~-]+\/)?[a-z0-9._~-]+$/i),
  version: z.string().regex(/^\d+\.\d+\.\d+[0-9a-z.+-]*$/i),
  integrity: z.string().regex(/^sha512-[A-Za-z0-9+/]{86}==$/),
  /** Size of the tarball, for the progress bar and the line that asks. */
  bytes: z.number().int().positive().optional(),
  /** What to unpack: paths inside the package; one that ends in `/` means the whole folder. Default everything. */
  files: z.array(innerPath).min(1).optional(),
})
export type NpmSource = z.infer<typeof npmSourceSchema>

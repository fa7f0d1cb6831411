import { z } from 'zod'

export const urlSourceSchema = z.strictObject({
  kind: z.literal('url'),
  url: z.url({ protocol: /^https?$/ }),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  bytes: z.number().int().positive().optional(),
})
export type UrlSource = z.infer<typeof urlSourceSchema>

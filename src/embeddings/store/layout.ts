import { join } from 'node:path'
import { z } from 'zod'

/** Where things are in a store's folder. Every name is made here, none is taken from data. */
export const planPath = (store: string): string => join(store, 'plan.json')
export const manifestPath = (store: string): string => join(store, 'manifest.json')
export const failuresPath = (store: string): string => join(store, 'failures.jsonl')
export const runPath = (store: string): string => join(store, 'run.jsonl')
const number = (i: number): string => String(i).padStart(5, '0')
export const shardPath = (store: string, i: number): string => join(store, `shard-${number(i)}.arrow`)
export const commitPath = (store: string, i: number): string => join(store, `shard-${number(i)}.json`)
export const thumbsPath = (store: string, i: number): string => join(store, `thumbs-${number(i)}.arrow`)

/** Names that fc7 itself puts into a store; `--force` deletes nothing else. */
export const ownFile = new RegExp(
  `^(${[
    String.raw`(plan|manifest)\.json|(failures|run)\.jsonl`,
    String.raw`(shard|thumbs)-\d{5,}\.(arrow|json)`,
    String.raw`\.[\w.-]+\.[0-9a-f]{12}\.tmp`,
  ].join('|')})$`,
)

const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/)

export const failureSchema = z.strictObject({ id: z.string(), path: z.string(), code: z.string(), message: z.string() })
/** An image that could not be embedded, and why. */
export type Failure = z.infer<typeof failureSchema>

const count = z.int().min(0)

/** `shard-00000.json`, the commit file: a shard with a valid one is done. */
export const commitSchema = z.strictObject({
  plan: sha256Hex,
  rows: count,
  failures: z.array(failureSchema),
  sha256: sha256Hex,
  /** Of the thumbnails' file, null without one. */
  thumbs: sha256Hex.nullable(),
  /** Rows by label and by split, in order of appearance. */
  labels: z.array(z.tuple([z.string().nullable(), count])),
  splits: z.array(z.tuple([z.string().nullable(), count])),
})
export type Commit = z.infer<typeof commitSchema>

/** `manifest.json`: derived from plan and commits, written last. */
export const manifestSchema = z.object({
  format: z.literal(1),
  plan: sha256Hex,
  dataset: z.object({ name: z.string(), items: count, fingerprint: sha256Hex }),
  backbone: z.object({ id: z.string(), sha256: sha256Hex }),
  layers: z.array(z.object({ name: z.string(), dim: count })),
  rows: count,
  failures: count,
  classes: z.array(z.string()),
  labels: z.array(z.tuple([z.string().nullable(), count])),
  splits: z.array(z.tuple([z.string().nullable(), count])),
  shards: z.array(z.object({ file: z.string(), rows: count, sha256: sha256Hex })),
  versions: z.record(z.string(), z.string()),
})
export type Manifest = z.infer<typeof manifestSchema>

import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { Fc7Error } from '../../base/errors.js'
import { readJson, writeJsonAtomic } from '../../base/files.js'
import { textValues } from '../../embeddings/store/arrow.js'
import { readShard, type Store } from '../../embeddings/store/store.js'

/** The file's name beside a fine-tuned backbone, and in a store that was made with it. */
export const trainedOnName = 'trained-on.json'
const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/)

/** `trained-on.json`: the images whose labels a fine-tuned backbone has seen, those that chose its epoch included. */
export const trainedOnSchema = z.strictObject({
  format: z.literal(1),
  kind: z.literal('fc7-trained-on'),
  /** sha256 of the backbone's ONNX file. */
  backbone: sha256Hex,
  /** sha256 of each image's bytes. */
  images: z.array(sha256Hex),
  ids: z.array(z.string()),
})
export type TrainedOn = z.infer<typeof trainedOnSchema>

/**
 * Reads the list from a file, or from a folder that holds one (a fine-tuned backbone's, or a store).
 *
 * @returns undefined where a folder holds none
 * @throws Fc7Error TRAINED_ON_BROKEN, FILE_UNREADABLE
 */
export async function readTrainedOn(path: string): Promise<TrainedOn | undefined> {
  const folder = (await stat(path).catch(() => undefined))?.isDirectory() ?? false
  const file = folder ? join(path, trainedOnName) : path
  if (folder && !(await stat(file).catch(() => undefined))) return undefined
  const parsed = trainedOnSchema.safeParse(await readJson(file, 'The list of images trained on', 256 << 20))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new Fc7Error('TRAINED_ON_BROKEN', `${file} is not valid: ${issue?.path.join('.')}: ${issue?.message}.`, {
    hint: 'It is written by `fc7 finetune`; take the one beside the backbone.',
  })
}

/**
 * Ids of a store's images that the lists name: those with a listed sha256, or with a listed id where a list has no
 * hashes.
 */
export async function trainedOnIds(store: Store, lists: readonly TrainedOn[]): Promise<ReadonlySet<string>> {
  const own = lists.filter((list) => list.backbone === store.plan.backbone.sha256)
  const hashes = new Set(own.flatMap((list) => list.images))
  const ids = new Set(own.flatMap((list) => (list.images.length > 0 ? [] : list.ids)))
  const found = new Set<string>()
  if (own.length === 0) return found
  for (let i = 0; i < store.plan.shards.length; i++) {
    const shard = await readShard(store, i)
    const rowHashes = textValues(shard, 'sha256')
    textValues(shard, 'id').forEach((id, row) => {
      if (id !== null && (ids.has(id) || hashes.has(rowHashes[row] ?? ''))) found.add(id)
    })
  }
  return found
}

/**
 * Puts the list that lies beside a backbone's ONNX file into a store made with it, so that the store can be handed
 * around. Nothing happens where there is no list, or one of another backbone.
 */
export async function carryTrainedOn(modelFile: string | undefined, store: string, sha256: string): Promise<void> {
  if (modelFile === undefined) return
  const list = await readTrainedOn(dirname(modelFile))
  if (list?.backbone === sha256) await writeJsonAtomic(join(store, trainedOnName), list)
}

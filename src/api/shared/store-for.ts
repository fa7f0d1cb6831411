import { stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { Fc7Error } from '../../base/errors.js'
import { runExtraction } from '../../embeddings/extract/extract-images.js'
import { prepareExtraction } from '../../embeddings/extract/prepare.js'
import { isStore, openStore, type Store } from '../../embeddings/store/store.js'
import { carryTrainedOn } from '../../evaluation/guards/trained-on.js'
import type { Context } from './context.js'
import { extractionRequest, type SourceOptions } from './source.js'

/** How images are embedded; `model` may be a question that is asked only if there are any. */
export interface StoreChoices extends Omit<SourceOptions, 'model'> {
  readonly model?: string | (() => Promise<string>) | undefined
  readonly batchSize?: number | undefined
  readonly threads?: number | undefined
  readonly sessions?: number | undefined
  readonly decodeThreads?: number | undefined
}

/**
 * A store, whether `path` is one or holds images. Images get a store in the cache with the given choices, and the user
 * is informed. The store's folder is named after its plan, so that the same images and choices find it again.
 *
 * @throws Fc7Error USAGE_TEST_VIEWS, SOURCE_MISSING, and those of the extraction
 */
export async function storeFor(path: string, choices: StoreChoices, context: Context): Promise<Store> {
  if (await isStore(path)) {
    if (choices.testViews !== undefined)
      throw new Fc7Error(
        'USAGE_TEST_VIEWS',
        `${path} is a store: its images are already embedded, by views or without.`,
        { hint: 'Give --test-views to the `fc7 extract` that makes the store, or name the images here.' },
      )
    return openStore(path)
  }
  if (!(await stat(path).catch(() => undefined)))
    throw new Fc7Error('SOURCE_MISSING', `There is no store and no image folder at ${path}.`, {
      hint: 'Check the path.',
    })
  const model = typeof choices.model === 'function' ? await choices.model() : choices.model
  const request = extractionRequest(path, { ...choices, model }, context)
  const prepared = await prepareExtraction(request)
  const { plan, planHash, backbone } = prepared
  const name = basename(resolve(path))
    .replace(/[^\w.-]+/g, '-')
    .slice(0, 40)
  const out = join(context.cacheFolder, 'stores', `${name}-${plan.backbone.id}-${planHash.slice(0, 12)}`)
  context.progress.say(`${path} holds images: embedding them with ${backbone.card.title} into ${out}.`)
  const { batchSize, threads, sessions, decodeThreads } = choices
  await runExtraction(prepared, request, { out, batch: batchSize, threads, sessions, decodeThreads })
  await carryTrainedOn(backbone.weights?.path, out, plan.backbone.sha256)
  return openStore(out)
}

import { stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { Fc7Error } from '../base/errors.js'
import { runExtraction } from '../embeddings/extract/extract-images.js'
import { prepareExtraction } from '../embeddings/extract/prepare.js'
import { isStore, openStore, type Store } from '../embeddings/store/store.js'
import { carryTrainedOn } from '../evaluation/guards/trained-on.js'
import type { CommandContext } from './context.js'
import { extractionRequest, type SourceChoices } from './extraction-options.js'
import { versions } from './versions.js'

/** How images are embedded; `model` may be a question that is asked only if there are any. */
export interface StoreChoices extends Omit<SourceChoices, 'model'> {
  readonly model: string | (() => Promise<string>)
  readonly threads?: number | undefined
}

/**
 * A store, whether `path` is one or holds images: then a store is made in the cache with the given choices, and the
 * user is told. The store's folder is named after its plan, so that the same images and choices find it again.
 */
export async function storeFor(path: string, choices: StoreChoices, context: CommandContext): Promise<Store> {
  if (await isStore(path)) {
    if (choices.testViews !== undefined) {
      throw new Fc7Error(
        'USAGE_TEST_VIEWS',
        `${path} is a store: its images are already embedded, by views or without.`,
        {
          hint: 'Give --test-views to the `fc7 extract` that makes the store, or name the images here.',
        },
      )
    }
    return openStore(path)
  }
  if (!(await stat(path).catch(() => undefined))) {
    throw new Fc7Error('SOURCE_MISSING', `There is no store and no image folder at ${path}.`, {
      hint: 'Check the path.',
    })
  }
  const model = typeof choices.model === 'function' ? await choices.model() : choices.model
  const request = extractionRequest(path, { ...choices, model }, context)
  const prepared = await prepareExtraction(request)
  const name = basename(resolve(path))
    .replace(/[^\w.-]+/g, '-')
    .slice(0, 40)
  const out = join(
    context.cacheFolder,
    'stores',
    `${name}-${prepared.plan.backbone.id}-${prepared.planHash.slice(0, 12)}`,
  )
  context.progress.say(`${path} holds images: embedding them with ${prepared.backbone.card.title} into ${out}.`)
  await runExtraction(prepared, request, {
    out,
    versions: versions(),
    threads: choices.threads,
  })
  await carryTrainedOn(prepared.backbone.weights?.path, out, prepared.plan.backbone.sha256)
  return openStore(out)
}

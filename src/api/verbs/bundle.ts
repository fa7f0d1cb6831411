import { stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { resolveBackbone } from '../../backbones/resolve.js'
import { Fc7Error, throwIfAborted } from '../../base/errors.js'
import { type BundleCheck, buildBundle, extractionOf, writeBundle } from '../../bundle/bundle.js'
import type { Classifier } from '../../classifiers/classifier.js'
import { loadClassifier } from '../../classifiers/load.js'
import { checkProvenance } from '../../classifiers/provenance.js'
import { weightsOf } from '../../embeddings/extract/prepare.js'
import type { Recipe } from '../../images/recipe/recipe.js'
import { readModel } from '../../onnx/read.js'
import { type CommonOptions, contextOf } from '../shared/context.js'
import { ownNetwork } from '../shared/own-network.js'

export interface BundleOptions extends CommonOptions {
  /** Classifier folder, or a classifier. */
  readonly classifier: string | Classifier
  /** ONNX file to write. */
  readonly out: string
  /** Backbone id or ONNX file. Default: the classifier's. */
  readonly model?: string | undefined
  /** Threads of the check. Default: the cores. */
  readonly threads?: number | undefined
}

export interface BundleResult {
  readonly files: readonly string[]
  readonly bytes: number
  /** Pixels that it takes: uint8 RGB `[N, height, width, 3]`. */
  readonly height: number
  readonly width: number
  readonly recipe: Recipe
  readonly outputs: readonly string[]
  readonly classes: readonly string[]
  /** What running it beside network and classifier gave. */
  readonly check: BundleCheck
}

/** Writes recipe, network and classifier as one ONNX file. */
export async function bundle(options: BundleOptions): Promise<BundleResult> {
  const context = contextOf(options)
  const { out } = options
  if (!out.toLowerCase().endsWith('.onnx'))
    throw new Fc7Error('USAGE_OUT', `${out} does not end in .onnx.`, { hint: 'For example: --out photos.onnx' })
  const classifier =
    typeof options.classifier === 'string' ? await loadClassifier(options.classifier) : options.classifier
  const { provenance, dim } = classifier.info
  const { recipe } = extractionOf(classifier)
  const { cacheFolder, offline } = context
  const model = options.model ?? (await ownNetwork(provenance, cacheFolder))
  const resolved = await resolveBackbone(model, { cacheFolder, recipeName: recipe.name, offline })
  const weights = await weightsOf(resolved, context)
  checkProvenance(classifier.info, { ...provenance, backbone: resolved.id, backboneSha256: weights.sha256, dim })
  throwIfAborted(context.signal, `Writing ${out}`)
  const built = buildBundle(classifier, await readModel(weights.path), resolved.card)
  context.progress.say('Running the bundle beside network and classifier ...')
  const threads = options.threads ?? availableParallelism()
  const { files, check } = await writeBundle(built, classifier, out, { threads })
  const sizes = await Promise.all(files.map((file) => stat(file)))
  return {
    files,
    bytes: sizes.reduce((sum, file) => sum + file.size, 0),
    height: built.height,
    width: built.width,
    recipe: built.recipe,
    outputs: built.model.graph?.output.map(({ name }) => name) ?? [],
    classes: classifier.classes,
    check,
  }
}

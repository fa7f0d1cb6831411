import { stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { resolveBackbone } from '../../../backbones/resolve.js'
import { Fc7Error } from '../../../base/errors.js'
import { formatBytes } from '../../../base/text.js'
import { buildBundle, extractionOf, writeBundle } from '../../../bundle/bundle.js'
import { loadClassifier } from '../../../classifiers/load.js'
import { checkProvenance } from '../../../classifiers/provenance.js'
import { weightsOf } from '../../../embeddings/extract/prepare.js'
import type { Recipe } from '../../../images/recipe/recipe.js'
import { readModel } from '../../../onnx/read.js'
import { defineCommand } from '../../command.js'
import { ownNetwork } from '../../own-network.js'

/** What must happen to an image before it enters the bundle. */
function geometry({ resize, crop }: Recipe): string {
  const how =
    resize.mode === 'none'
      ? 'no resize'
      : `${resize.mode === 'short-side' ? `short side to ${resize.size}` : `resize to ${resize.width}×${resize.height}`} (${resize.filter}${resize.antialias ? '' : ', without antialias'})`
  return crop ? `${how}, centre crop ${crop.width}×${crop.height}` : how
}

export const bundle = defineCommand({
  example: ['$0 bundle photos.svm --out photos.onnx', 'one ONNX file from pixels to classes, for any ONNX Runtime'],
  options: (yargs) =>
    yargs
      .positional('classifier', { type: 'string', demandOption: true, describe: 'Classifier folder' })
      .option('out', { type: 'string', demandOption: true, describe: 'ONNX file to write' })
      .option('model', { type: 'string', describe: 'Backbone id or ONNX file; default the classifier’s' })
      .option('threads', { type: 'number', default: availableParallelism(), describe: 'Threads of the check' }),
  async run(options, context) {
    if (!options.out.toLowerCase().endsWith('.onnx')) {
      throw new Fc7Error('USAGE_OUT', `${options.out} does not end in .onnx.`, {
        hint: 'For example: --out photos.onnx',
      })
    }
    const classifier = await loadClassifier(options.classifier)
    const { provenance, dim } = classifier.info
    const { recipe } = extractionOf(classifier)
    const { cacheFolder, offline, progress, signal } = context
    const resolved = await resolveBackbone(options.model ?? (await ownNetwork(provenance, cacheFolder)), {
      cacheFolder,
      recipeName: recipe.name,
      offline,
    })
    const weights = await weightsOf(resolved, { cacheFolder, offline, progress, signal })
    checkProvenance(classifier.info, { ...provenance, backbone: resolved.id, backboneSha256: weights.sha256, dim })
    const built = buildBundle(classifier, await readModel(weights.path), resolved.card)
    context.progress.say('Running the bundle beside network and classifier ...')
    const { files, check } = await writeBundle(built, classifier, options.out, { threads: options.threads })
    const bytes = (await Promise.all(files.map((file) => stat(file)))).reduce((sum, file) => sum + file.size, 0)
    context.result(
      {
        files,
        bytes,
        input: { name: 'pixels', type: 'uint8', shape: ['N', built.height, built.width, 3], order: 'RGB' },
        geometry: { resize: built.recipe.resize, crop: built.recipe.crop ?? null },
        outputs: built.model.graph?.output.map(({ name }) => name) ?? [],
        classes: classifier.classes,
        check,
      },
      [
        `${files.join(', ')}: ${formatBytes(bytes)}, from uint8 RGB pixels [N, ${built.height}, ${built.width}, ` +
          `3] to ${classifier.classes.length} classes.`,
        `Before it: ${geometry(built.recipe)}. Run on ${check.images} images, its scores are the classifier's to ` +
          `${check.difference.toExponential(1)}.`,
      ].join('\n'),
    )
  },
})

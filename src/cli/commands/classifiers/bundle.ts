import { availableParallelism } from 'node:os'
import { bundle as writeBundle } from '../../../api/verbs/bundle.js'
import { formatBytes } from '../../../base/text.js'
import type { Recipe } from '../../../images/recipe/recipe.js'
import { defineCommand } from '../../command.js'

/** What must happen to an image before it enters the bundle. */
function geometry({ resize, crop }: Recipe): string {
  const how =
    resize.mode === 'none'
      ? 'no resize'
      : (resize.mode === 'short-side' ? `short side to ${resize.size}` : `resize to ${resize.width}×${resize.height}`) +
        ` (${resize.filter}${resize.antialias ? '' : ', without antialias'})`
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
  async run({ classifier, out, model, threads }, context) {
    const built = await writeBundle({ ...context, classifier, out, model, threads })
    const { files, bytes, recipe, outputs, classes, check, height, width } = built
    context.result(
      {
        files,
        bytes,
        input: { name: 'pixels', type: 'uint8', shape: ['N', height, width, 3], order: 'RGB' },
        geometry: { resize: recipe.resize, crop: recipe.crop ?? null },
        outputs,
        classes,
        check,
      },
      [
        `${files.join(', ')}: ${formatBytes(bytes)}, from uint8 RGB pixels [N, ${height}, ${width}, ` +
          `3] to ${classes.length} classes.`,
        `Before it: ${geometry(recipe)}. Run on ${check.images} images, its scores are the classifier's to ` +
          `${check.difference.toExponential(1)}.`,
      ].join('\n'),
    )
  },
})

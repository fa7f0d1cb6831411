import { setFlagsFromString } from 'node:v8'
import {
  type ExtractSummary,
  extract as embed,
  type PlannedExtraction,
  planExtract,
} from '../../../api/verbs/extract.js'
import { Fc7Error } from '../../../base/errors.js'
import { formatSeconds } from '../../../base/text.js'
import { resizeModes } from '../../choices.js'
import { defineCommand } from '../../command.js'
import { sourceOptions } from '../../extraction-options.js'

const layerWords = ({ layers }: PlannedExtraction['plan'], words: (name: string, dim: number) => string): string =>
  layers.map(({ name, dim }) => words(name, dim)).join(', ')

/** What `--dry-run` shows. */
function planText({ plan, done, rows, classes }: PlannedExtraction, out: string): string {
  const { dataset, backbone, recipe, provider, views, testViews, shards, rewrites } = plan
  const layers = layerWords(plan, (name, dim) => `${name} (${dim} values)`)
  const averaged = testViews ? `, the mean of ${testViews} views for images outside the train split` : ''
  return [
    `${dataset.items} images of ${dataset.name}, ${classes} classes`,
    `${backbone.id}, ${layers}, recipe ${recipe?.name}, ${provider}`,
    ...(views > 1 || testViews ? [`${rows} rows: ${views} for each training image${averaged}`] : []),
    `${shards.length} shards in ${out}, ${done.length} of them done`,
    ...(rewrites.length > 0 ? [`exact rewrites: ${rewrites.join(', ')}`] : []),
  ].join('\n')
}

/** What a finished extraction says of itself. */
function summaryText(summary: ExtractSummary, out: string): string {
  const { chosen, waited, images, seconds, rows, failures, manifest, extractionPlan: plan } = summary
  const layers = layerWords(plan, (name, dim) => `${dim} values (${name})`)
  return [
    `${out}: ${rows} rows of ${layers}`,
    ...(images > 0
      ? [
          `${images} images in ${formatSeconds(seconds)}, ${(images / seconds).toFixed(1)} a second; waited ` +
            `${formatSeconds(waited.inference)} for the network, ${formatSeconds(waited.decode)} ` +
            `for decoding, ${formatSeconds(waited.disk)} for the disk`,
          `${chosen.provider}, ${chosen.sessions} × ${chosen.threadsPerSession} threads, ` +
            `${chosen.decodeThreads} decoding beside them, batches of ${chosen.batch}`,
        ]
      : ['Everything was done already.']),
    ...(failures > 0 ? [`${failures} images could not be embedded: see ${out}/failures.jsonl`] : []),
    ...(manifest ? [] : ['Other shards are still missing: run the other parts.']),
  ].join('\n')
}

export const extract = defineCommand({
  example: ['$0 extract photos/ --model resnet50 --out photos.fc7', 'embed every image of a folder'],
  options: (yargs) =>
    sourceOptions(yargs)
      .positional('source', {
        type: 'string',
        demandOption: true,
        describe: 'Folder, list (.csv, .jsonl), .tar or .parquet',
      })
      .option('model', { type: 'string', demandOption: true, describe: 'Backbone id (fc7 models list) or ONNX file' })
      .option('layer', {
        type: 'string',
        array: true,
        describe: 'Layer (repeatable); default the last before the classifier',
      })
      .option('out', { type: 'string', demandOption: true, describe: 'Store folder to write' })
      .option('resize', {
        choices: resizeModes,
        default: 'exact' as const,
        describe: 'Resampler: the reference, to the bit, or libvips',
      })
      .option('dtype', {
        choices: ['float32', 'float16'] as const,
        default: 'float32' as const,
        describe: 'Precision of the stored values',
      })
      .option('views', {
        type: 'number',
        describe: 'Rows of each training image: itself and seeded crops and mirror images; default 1',
      })
      .option('shard-size', { type: 'number', describe: 'Images a shard file' })
      .option('shards', { type: 'number', describe: 'Number of parts, for several processes' })
      .option('shard', { type: 'number', describe: 'This part, from 0' })
      .option('retry-failed', { type: 'boolean', default: false, describe: 'Compute shards with failures again' })
      .option('force', { type: 'boolean', default: false, describe: 'Replace another store in --out' })
      .option('dry-run', { type: 'boolean', default: false, describe: 'Print the plan, compute nothing' }),
  async run(options, context) {
    if ((options.shards === undefined) !== (options.shard === undefined)) {
      throw new Fc7Error('USAGE_SHARD', '--shards and --shard belong together.', {
        hint: 'Parts count from 0: --shards 4 --shard 0 … 3.',
      })
    }
    // Rows and thumbnails wait for their shard, so they outlive V8's young generation; left to itself the heap grows
    // with the number of images long before old ones are collected. The process is this command's own, hence here and
    // not in the library.
    setFlagsFromString('--heap-growing-percent=15')
    const request = { ...options, ...context, layers: options.layer }
    if (options.dryRun) {
      const planned = await planExtract(request)
      const { plan, planHash, done } = planned
      context.result({ plan, planHash, done }, planText(planned, options.out))
      return
    }
    const summary = await embed(request)
    const { manifest, extractionPlan: _, ...facts } = summary
    context.result({ ...facts, finished: manifest !== null }, summaryText(summary, options.out))
  },
})

import { setFlagsFromString } from 'node:v8'
import { Fc7Error } from '../../../base/errors.js'
import { formatSeconds } from '../../../base/text.js'
import { runExtraction } from '../../../embeddings/extract/extract-images.js'
import { prepareExtraction } from '../../../embeddings/extract/prepare.js'
import { planStatus } from '../../../embeddings/store/commit.js'
import { plannedRows } from '../../../embeddings/store/views.js'
import { carryTrainedOn } from '../../../evaluation/guards/trained-on.js'
import { resizeModes } from '../../choices.js'
import { defineCommand } from '../../command.js'
import { extractionRequest, sourceOptions } from '../../extraction-options.js'
import { versions } from '../../versions.js'

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
    const request = extractionRequest(options.source, options, context)
    const prepared = await prepareExtraction(request, options.out)
    const { plan, planHash } = prepared
    if (options.dryRun) {
      const done = await planStatus(options.out, plan, planHash)
      context.result(
        { plan, planHash, done },
        [
          `${plan.dataset.items} images of ${plan.dataset.name}, ${prepared.scan.labels.size} classes`,
          `${plan.backbone.id}, ${plan.layers.map((layer) => `${layer.name} (${layer.dim} values)`).join(', ')}, recipe ${plan.recipe?.name}, ${plan.provider}`,
          ...(plan.views > 1 || plan.testViews
            ? [
                `${plannedRows(plan, prepared.scan.splits)} rows: ${plan.views} for each training image${plan.testViews ? `, the mean of ${plan.testViews} views for images outside the train split` : ''}`,
              ]
            : []),
          `${plan.shards.length} shards in ${options.out}, ${done.length} of them done`,
          ...(plan.rewrites.length > 0 ? [`exact rewrites: ${plan.rewrites.join(', ')}`] : []),
        ].join('\n'),
      )
      return
    }
    const { batchSize: batch, threads, sessions, decodeThreads, shards, shard, retryFailed, force, out } = options
    const summary = await runExtraction(prepared, request, {
      out,
      versions: versions(),
      retryFailed,
      force,
      batch,
      threads,
      sessions,
      decodeThreads,
      shards,
      shard,
    })
    await carryTrainedOn(prepared.backbone.weights?.path, out, plan.backbone.sha256)
    const { manifest, ...facts } = summary
    const { chosen } = summary
    const rate = summary.images / summary.seconds
    const lines = [
      `${out}: ${summary.rows} rows of ${plan.layers.map((layer) => `${layer.dim} values (${layer.name})`).join(', ')}`,
      summary.images > 0
        ? `${summary.images} images in ${formatSeconds(summary.seconds)}, ${rate.toFixed(1)} a second; waited ` +
          `${formatSeconds(summary.waited.inference)} for the network, ${formatSeconds(summary.waited.decode)} ` +
          `for decoding, ${formatSeconds(summary.waited.disk)} for the disk`
        : 'Everything was done already.',
      ...(summary.images > 0
        ? [
            `${chosen.provider}, ${chosen.sessions} × ${chosen.threadsPerSession} threads, ` +
              `${chosen.decodeThreads} decoding beside them, batches of ${chosen.batch}`,
          ]
        : []),
      ...(summary.failures > 0 ? [`${summary.failures} images could not be embedded: see ${out}/failures.jsonl`] : []),
      ...(manifest ? [] : ['Other shards are still missing: run the other parts.']),
    ]
    context.result({ ...facts, finished: manifest !== null }, lines.join('\n'))
  },
})

import {
  exportTrainingGraphs,
  planFinetune,
  previewAugmentations,
  finetune as tune,
} from '../../../api/verbs/finetune.js'
import { Fc7Error } from '../../../base/errors.js'
import { formatBytes, formatSeconds } from '../../../base/text.js'
import { strategies } from '../../../finetune/plan/options.js'
import type { FinetunePlan } from '../../../finetune/plan/plan.js'
import { defineCommand } from '../../command.js'

/** The plan in words. */
function describe(plan: FinetunePlan): string {
  const { images, features, optimizer } = plan
  return [
    `${plan.strategy} on ${plan.backbone.id}: ${plan.classes.length} classes, features ${features.layer} ` +
      `(${features.dim} values), ${plan.loss} loss, ${optimizer.kind}, weight decay ${optimizer.weightDecay}` +
      `${optimizer.clipNorm === null ? '' : `, gradient’s norm at most ${optimizer.clipNorm}`}`,
    `${images.train} images train, ${images.select} choose the epoch (${images.sources.select}), ` +
      `${images.report} are reported (${images.sources.report})`,
    ...plan.phases.flatMap((phase) => [
      `${phase.name}: ${phase.trainedValues} weights train above ${phase.boundary}, ${phase.frozenValues} stay; ` +
        `${phase.epochs} epochs of ${phase.stepsPerEpoch} steps, learning rate ${phase.lr} (new layer ` +
        `×${phase.headLrFactor}), batch norms ${phase.batchNorm}`,
      phase.trunk === 'trained'
        ? `  every layer trains; about ${formatBytes(phase.memoryBytes)} of memory`
        : phase.trunk === 'cached'
          ? `  the frozen part runs ${phase.trunkPasses} times (${phase.views} views of each image), its ` +
            `${formatBytes(phase.cacheBytes)} are kept; about ${formatBytes(phase.memoryBytes)} of memory`
          : `  the frozen part runs again in each epoch, ${phase.trunkPasses} times in all; about ` +
            `${formatBytes(phase.memoryBytes)} of memory`,
    ]),
  ].join('\n')
}

export const finetune = defineCommand({
  example: [
    '$0 finetune photos/ --model resnet50 --strategy last --out photos-resnet',
    'train the last stage on labelled images',
  ],
  options: (yargs) =>
    yargs
      .positional('source', { type: 'string', demandOption: true, describe: 'Labelled images' })
      .option('model', { type: 'string', demandOption: true, describe: 'Backbone id or ONNX file' })
      .option('out', { type: 'string', describe: 'Folder for the new backbone' })
      .option('id', { type: 'string', describe: 'Name of the new backbone; default the folder’s' })
      .option('strategy', { choices: strategies, default: 'head' as const, describe: 'What trains' })
      .option('freeze-until', { type: 'string', describe: 'last: this layer and all below stay' })
      .option('epochs', { type: 'number', describe: 'Passes over the images, of each phase' })
      .option('batch-size', { type: 'number', describe: 'Images a step; default 16' })
      .option('grad-accum-steps', { type: 'number', describe: 'Batches whose gradients are averaged; default 1' })
      .option('optimizer', {
        choices: ['sgd', 'adam', 'adamw'] as const,
        describe: 'Default adamw; scratch: the card’s, else sgd (Nesterov)',
      })
      .option('lr', { type: 'number', describe: 'Learning rate of the pretrained layers' })
      .option('head-lr-factor', {
        type: 'number',
        describe: 'Learning rate of the new layer over that of the pretrained ones; default 10',
      })
      .option('depth-lr-factor', {
        type: 'number',
        describe: 'Learning rate of the lowest trained layer over that of the highest; default 1',
      })
      .option('weight-decay', { type: 'number', describe: 'Spares biases and norms' })
      .option('schedule', { choices: ['cosine', 'step', 'constant'] as const, describe: 'Default cosine' })
      .option('warmup', { type: 'number', describe: 'Share of the steps; default 0.05' })
      .option('clip-norm', {
        type: 'number',
        describe: 'Largest norm of the gradient, 0 for none; default 1, scratch: none',
      })
      .option('label-smoothing', { type: 'number', describe: 'Label smoothing' })
      .option('dropout', { type: 'number', describe: 'Share of the features dropped before the new layer; default 0' })
      .option('mixup', { type: 'number', describe: 'Blend images and labels in pairs: α of Beta(α, α); default 0' })
      .option('class-weight', { choices: ['balanced', 'none'] as const, describe: 'Weight classes by rarity' })
      .option('positive', { type: 'string', describe: 'One output with a sigmoid for this label of two' })
      .option('batch-norm', {
        choices: ['frozen', 'train'] as const,
        describe: 'Statistics of batch norms; default frozen, scratch: train',
      })
      .option('augment', { type: 'boolean', describe: 'Random crops, mirror images, colours; default yes' })
      .option('rotation', { type: 'number', describe: 'Largest turn of a view in degrees; default 0' })
      .option('grayscale', { type: 'number', describe: 'Probability of a grayscale view; default 0' })
      .option('random-erasing', { type: 'number', describe: 'Probability of a painted rectangle; default 0' })
      .option('cache-frozen', { type: 'boolean', describe: 'Compute the frozen part once; default where it fits' })
      .option('cache-budget', { type: 'number', describe: 'GiB for it; default 2' })
      .option('views', { type: 'number', describe: 'Most views of an image to keep; default 4' })
      .option('patience', { type: 'number', describe: 'Epochs without a better result before stopping' })
      .option('checkpoint-steps', { type: 'number', describe: 'Steps between checkpoints; default 200' })
      .option('keep-work', { type: 'boolean', default: false, describe: 'Keep graphs and frozen activations' })
      .option('memory-limit', { type: 'number', describe: 'GiB; default this machine’s' })
      .option('recipe', { type: 'string', describe: 'Preprocessing; default the card’s first' })
      .option('layout', { choices: ['labels', 'splits'] as const, describe: 'What first-level folders mean' })
      .option('group-from', { type: 'string', describe: 'Regular expression whose capture is the group' })
      .option('allow-outside', { type: 'boolean', default: false, describe: 'Let lists leave their folder' })
      .option('limit', { type: 'number', describe: 'Take the first n images' })
      .option('orient', { type: 'boolean', default: false, describe: 'Turn images by their EXIF orientation' })
      .option('threads', { type: 'number', describe: 'Threads in all; default the cores' })
      .option('decode-threads', { type: 'number', describe: 'Of them for decoding' })
      .option('force', { type: 'boolean', default: false, describe: 'Replace a training in --out' })
      .option('dry-run', { type: 'boolean', default: false, describe: 'Print the plan, train nothing' })
      .option('export-only', {
        type: 'boolean',
        default: false,
        describe: 'Write the graphs and a manifest, train nothing',
      })
      .option('preview-augmentation', {
        type: 'string',
        describe: 'Write a sheet of augmented images (.html), train nothing',
      }),
  async run(options, context) {
    // A plan and a sheet of images leave nothing in a folder; what trains or exports says so before anything is read.
    if (options.out === undefined && !options.dryRun && options.previewAugmentation === undefined) {
      throw new Fc7Error('USAGE_OUT', 'There is no folder for the new backbone.', {
        hint: 'Add --out <folder>; --dry-run prints the plan without one.',
      })
    }
    const gib = (value: number | undefined) => (value === undefined ? undefined : value * 2 ** 30)
    const wanted = {
      strategy: options.strategy,
      freezeUntil: options.freezeUntil,
      epochs: options.epochs,
      batchSize: options.batchSize,
      gradAccumSteps: options.gradAccumSteps,
      optimizer: options.optimizer,
      lr: options.lr,
      headLrFactor: options.headLrFactor,
      depthLrFactor: options.depthLrFactor,
      weightDecay: options.weightDecay,
      schedule: options.schedule,
      warmup: options.warmup,
      clipNorm: options.clipNorm,
      labelSmoothing: options.labelSmoothing,
      dropout: options.dropout,
      mixup: options.mixup,
      classWeight: options.classWeight,
      positive: options.positive,
      batchNorm: options.batchNorm,
      augment: options.augment,
      rotation: options.rotation,
      grayscale: options.grayscale,
      randomErasing: options.randomErasing,
      cache: options.cacheFrozen,
      cacheBudgetBytes: gib(options.cacheBudget),
      views: options.views,
      patience: options.patience,
      memoryBytes: gib(options.memoryLimit),
    }
    // Whatever else stands in the object is a setting of the training, and an unknown one is refused.
    const { json: _, result: __, ...common } = context
    const source = {
      ...common,
      ...wanted,
      source: options.source,
      model: options.model,
      orient: options.orient,
      allowOutside: options.allowOutside,
      recipe: options.recipe,
      layout: options.layout,
      groupFrom: options.groupFrom,
      limit: options.limit,
    }
    if (options.previewAugmentation !== undefined) {
      const shown = await previewAugmentations({ ...source, out: options.previewAugmentation })
      context.result({ out: options.previewAugmentation, shown }, `${options.previewAugmentation}: ${shown} images`)
      return
    }
    if (options.dryRun) {
      const planned = await planFinetune(source)
      context.result(planned, describe(planned.plan))
      return
    }
    const out = options.out! // asked for above
    const onPlan = (plan: FinetunePlan): void => {
      for (const line of describe(plan).split('\n')) context.progress.say(line)
    }
    if (options.exportOnly) {
      const files = await exportTrainingGraphs({ ...source, out, onPlan })
      context.result({ out, files }, `${out}: ${files.join(', ')}`)
      return
    }
    const { plan, curves, ...summary } = await tune({
      ...source,
      out,
      onPlan,
      id: options.id,
      force: options.force,
      keepWork: options.keepWork,
      threads: options.threads,
      decodeThreads: options.decodeThreads,
      checkpointSteps: options.checkpointSteps,
    })
    context.result(
      { ...summary, curves },
      [
        `${summary.model}: the backbone ${summary.id}, best after epoch ${summary.bestEpoch}`,
        `${summary.correct} of ${summary.reported} right on ${plan.images.sources.report} ` +
          `(${(100 * summary.accuracy).toFixed(1)} %), in ${formatSeconds(summary.seconds)}`,
        `Curves: ${curves}`,
        ...(summary.failures > 0 ? [`${summary.failures} images could not be read: see ${out}/failures.jsonl`] : []),
        summary.known
          ? `Predict: fc7 predict ${out}/classifier <images>; embed: fc7 extract <images> --model ${summary.id}`
          : `Predict: fc7 predict ${out}/classifier <images> --model ${out}/model.onnx (another model is called ` +
            `${summary.id})`,
      ].join('\n'),
    )
  },
})

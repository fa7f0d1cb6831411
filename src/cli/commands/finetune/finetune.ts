import {
  exportTrainingGraphs,
  type FinetuneResult,
  planFinetune,
  previewAugmentations,
  finetune as tune,
} from '../../../api/verbs/finetune.js'
import { Fc7Error } from '../../../base/errors.js'
import { counted, formatBytes, formatSeconds } from '../../../base/text.js'
import type { FinetunePlan } from '../../../finetune/plan/plan.js'
import { defineCommand } from '../../command.js'
import { trainingChoices, trainingOptions } from './training-options.js'

/** The plan in words. */
function describe(plan: FinetunePlan): string {
  const { images, features, optimizer } = plan
  return [
    `${plan.strategy} on ${plan.backbone.id}: ${plan.classes.length} classes, features ${features.layer} ` +
      `(${features.dim} values), ${plan.loss} loss, ${optimizer.kind}, weight decay ${optimizer.weightDecay}` +
      `${optimizer.clipNorm === null ? '' : `, gradient’s norm at most ${optimizer.clipNorm}`}`,
    `${counted(images.train, 'image')} to train on, ${images.select} to choose the epoch (${images.sources.select}), ` +
      `${images.report} to report (${images.sources.report})`,
    ...plan.phases.flatMap((phase) => [
      `${phase.name}: ${phase.trainedValues} weights train above ${phase.boundary}, ${phase.frozenValues} stay; ` +
        `${counted(phase.epochs, 'epoch')} of ${counted(phase.stepsPerEpoch, 'step')}, learning rate ${phase.lr} ` +
        `(new layer ×${phase.headLrFactor}), batch norms ${phase.batchNorm}`,
      phase.frozenLayers === 'none'
        ? `  every layer trains; about ${formatBytes(phase.memoryBytes)} of memory`
        : phase.frozenLayers === 'cached'
          ? `  the frozen layers run ${counted(phase.frozenPasses, 'time')} ` +
            `(${counted(phase.views, 'view')} of each image), ${formatBytes(phase.cacheBytes)} are kept; about ` +
            `${formatBytes(phase.memoryBytes)} of memory`
          : `  the frozen layers run again in each epoch, ${phase.frozenPasses} times in all; about ` +
            `${formatBytes(phase.memoryBytes)} of memory`,
    ]),
  ].join('\n')
}

/** What came of it, and what to do with it. */
function outcomeWords(result: FinetuneResult, out: string): string {
  const { model, id, plan, failures } = result
  return [
    `${model}: the backbone ${id}, best after epoch ${result.bestEpoch}`,
    `${result.correct} of ${result.reported} right on ${plan.images.sources.report} ` +
      `(${(100 * result.accuracy).toFixed(1)} %), in ${formatSeconds(result.seconds)}`,
    `Curves: ${result.curves}`,
    ...(failures > 0 ? [`${counted(failures, 'image')} could not be read: see ${out}/failures.jsonl`] : []),
    result.known
      ? `Predict: fc7 predict ${out}/classifier <images>; embed: fc7 extract <images> --model ${id}`
      : `Predict: fc7 predict ${out}/classifier <images> --model ${out}/model.onnx (another model is called ${id})`,
  ].join('\n')
}

export const finetune = defineCommand({
  example: [
    '$0 finetune photos/ --model resnet50 --strategy last --out photos-resnet',
    'train the last stage on labelled images',
  ],
  options: (yargs) =>
    trainingOptions(
      yargs
        .positional('source', { type: 'string', demandOption: true, describe: 'Labelled images' })
        .option('model', { type: 'string', demandOption: true, describe: 'Backbone id or ONNX file' })
        .option('out', { type: 'string', describe: 'Folder for the new backbone' })
        .option('id', { type: 'string', describe: 'Name of the new backbone; default the folder’s' }),
    )
      .option('checkpoint-steps', { type: 'number', describe: 'Steps between checkpoints; default 200' })
      .option('keep-work', { type: 'boolean', default: false, describe: 'Keep graphs and frozen activations' })
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
    // Whatever else stands in the object is a setting of the training, and an unknown one is refused.
    const { json: _, result: __, ...common } = context
    const source = {
      ...common,
      ...trainingChoices(options),
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
    const result = await tune({
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
    const { plan: _plan, ...summary } = result
    context.result(summary, outcomeWords(result, out))
  },
})

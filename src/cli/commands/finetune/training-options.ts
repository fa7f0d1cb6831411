import type { ArgumentsCamelCase, Argv } from 'yargs'
import type { FinetuneChoices } from '../../../api/verbs/finetune.js'
import { strategies } from '../../../finetune/plan/options.js'

/** How a network is trained: the options that the plan is made of. */
export const trainingOptions = <T>(yargs: Argv<T>) =>
  yargs
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
    .option('label-smoothing', { type: 'number', describe: 'Share of the target spread over all classes; default 0' })
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
    .option('cache-frozen', { type: 'boolean', describe: 'Compute the frozen layers once; default where it fits' })
    .option('cache-budget', { type: 'number', describe: 'GiB for it; default 2' })
    .option('views', { type: 'number', describe: 'Largest number of views of an image to keep; default 4' })
    .option('patience', { type: 'number', describe: 'Epochs without a better result before stopping' })
    .option('memory-limit', { type: 'number', describe: 'GiB; default this machine’s' })

type Given = ReturnType<typeof trainingOptions> extends Argv<infer Options> ? Options : never
const gib = (value: number | undefined): number | undefined => (value === undefined ? undefined : value * 2 ** 30)

/** What they ask for, as the library takes it; GiB become bytes. */
export const trainingChoices = (options: ArgumentsCamelCase<Given>): FinetuneChoices => ({
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
})

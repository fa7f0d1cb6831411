import type { Argv } from 'yargs'
import { testViewNames } from '../images/augment/augment-plan.js'
import { poolings, providerNames } from './choices.js'

/** Options of every command that reads images. */
export const sourceOptions = <T>(yargs: Argv<T>) =>
  yargs
    .option('pool', {
      choices: poolings,
      default: 'avg' as const,
      describe: 'What layers with height and width become',
    })
    .option('recipe', { type: 'string', describe: 'Preprocessing; default the model card’s first' })
    .option('provider', { choices: providerNames, default: 'auto' as const, describe: 'Where the network runs' })
    .option('threads', { type: 'number', describe: 'Threads in all; default the cores' })
    .option('sessions', {
      type: 'number',
      describe: 'Copies of the network that share the threads; default as many as memory holds',
    })
    .option('decode-threads', { type: 'number', describe: 'Of them for decoding; default measured' })
    .option('batch-size', { type: 'number', describe: 'Images a run; default measured' })
    .option('limit', { type: 'number', describe: 'Take the first n images' })
    .option('layout', { choices: ['labels', 'splits'] as const, describe: 'What first-level folders mean' })
    .option('group-from', {
      type: 'string',
      describe: 'Regular expression whose first capture of the path is the group',
    })
    .option('allow-outside', {
      type: 'boolean',
      default: false,
      describe: 'Let lists and links leave the data set’s folder',
    })
    .option('thumbs', { type: 'boolean', default: true, describe: 'Keep thumbnails for reports (--no-thumbs: none)' })
    .option('rewrite', {
      type: 'boolean',
      default: true,
      describe: 'Use exact graph rewrites that are faster (--no-rewrite: none)',
    })
    .option('test-views', {
      choices: testViewNames,
      describe: 'Average these views of every image outside the train split',
    })
    .option('orient', { type: 'boolean', default: false, describe: 'Turn images as their EXIF orientation says' })

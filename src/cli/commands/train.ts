import { availableParallelism } from 'node:os'
import { formatSeconds } from '../../base/text.js'
import { openStore, readTable } from '../../embeddings/store.js'
import { fitClassifier } from '../../trainers/classifier.js'
import { parseSetting } from '../../trainers/params.js'
import { getTrainer, trainers } from '../../trainers/registry.js'
import { trainingSetOf } from '../../trainers/training-set.js'
import { defineCommand } from '../command.js'
import { provenanceOf } from '../provenance.js'

const parameterHelp = (): string =>
  trainers
    .filter((trainer) => trainer.params.length > 0)
    .map(
      (trainer) =>
        `${trainer.id}: ${trainer.params.map((param) => `${param.name}=${param.default} (${param.help})`).join('; ')}`,
    )
    .join('\n\n')

export const train = defineCommand({
  example: [
    '$0 train photos.fc7 --trainer linear-svm --set c=0.1 --out photos.svm',
    'fit on the train split, or on everything where there is none',
  ],
  options: (yargs) =>
    yargs
      .positional('store', { type: 'string', demandOption: true, describe: 'Store folder' })
      .option('trainer', {
        type: 'string',
        demandOption: true,
        describe: `One of: ${trainers.map((trainer) => trainer.id).join(', ')}`,
      })
      .option('set', {
        type: 'string',
        array: true,
        default: [] as string[],
        describe: 'Hyper-parameter name=value (repeatable)',
      })
      .option('split', {
        choices: ['train', 'val', 'test'] as const,
        describe: 'Rows to fit on; default the train split if there is one',
      })
      .option('layer', { type: 'string', describe: 'Layer, where the store holds several' })
      .option('preprocess', {
        type: 'string',
        describe: 'none, l2, standardise, pca:<n>, power:<a>, joined by +; default suits the trainer',
      })
      .option('class-weight', {
        choices: ['none', 'balanced'] as const,
        default: 'none' as const,
        describe: 'Weight classes by rarity',
      })
      .option('calibrate', { choices: ['sigmoid', 'isotonic'] as const, describe: 'Turn scores into probabilities' })
      .option('threads', { type: 'number', default: availableParallelism(), describe: 'Threads in all' })
      .option('out', { type: 'string', demandOption: true, describe: 'Classifier folder to write' })
      .epilogue(`Hyper-parameters:\n\n${parameterHelp()}`),
  async run(options, context) {
    const trainer = getTrainer(options.trainer)
    const store = await openStore(options.store)
    const table = await readTable(store, options.layer)
    const { set, split } = trainingSetOf(table, options.split)
    context.progress.say(
      `Fitting ${trainer.title} on ${set.x.rows} rows${split ? ` of the ${split} split` : ''}, ${set.classes.length} classes.`,
    )
    const started = performance.now()
    const task = context.progress.task({ label: trainer.id, total: 100, unit: '%' })
    const classifier = await fitClassifier({
      trainer,
      set,
      params: new Map(options.set.map(parseSetting)),
      ...(options.preprocess === undefined ? {} : { preprocess: options.preprocess }),
      classWeight: options.classWeight,
      ...(options.calibrate === undefined ? {} : { calibrate: options.calibrate }),
      seed: context.seed,
      threads: options.threads,
      provenance: provenanceOf(store, table.layer),
      signal: context.signal,
      onProgress: (fraction) => task.update(Math.round(fraction * 100)),
    })
    const seconds = (performance.now() - started) / 1000
    task.end(`${trainer.id}  fitted in ${formatSeconds(seconds)}`)
    await classifier.save(options.out)
    const facts = Object.entries(classifier.facts).map(([name, value]) => `${name}: ${value}`)
    context.result(
      {
        out: options.out,
        trainer: trainer.id,
        rows: set.x.rows,
        classes: classifier.classes,
        seconds,
        facts: classifier.facts,
      },
      [`${options.out}: ${trainer.title}, ${set.x.rows} rows, ${set.classes.length} classes.`, ...facts].join('\n'),
    )
  },
})

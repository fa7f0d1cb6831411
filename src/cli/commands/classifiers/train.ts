import { availableParallelism } from 'node:os'
import { planTrain, train as trainClassifier } from '../../../api/verbs/train.js'
import type { Classifier } from '../../../classifiers/classifier.js'
import { metricIds } from '../../../evaluation/metrics/registry.js'
import { describeParams, parseSetting } from '../../../trainers/params.js'
import { preprocessHelp } from '../../../trainers/preprocess/preprocess.js'
import { trainers } from '../../../trainers/registry.js'
import { defineCommand } from '../../command.js'
import { searchOf, searchOptions } from '../../search-options.js'

const parameterHelp = (): string =>
  trainers
    .map((trainer) => [`${trainer.id}: ${trainer.summary}`, ...describeParams(trainer.params)].join('\n'))
    .join('\n\n')

/** What the search found, as a program and as a person reads it. */
function tuningResult({ info }: Classifier): { readonly json: object | null; readonly words: string[] } {
  const { tuning, params } = info
  if (!tuning) return { json: null, words: [] }
  const { trials, metric, innerFolds } = tuning
  const own = JSON.stringify([...params])
  const score = trials.find((trial) => JSON.stringify(trial.params) === own)?.mean ?? null
  const searched = [...params].filter(([name, value]) =>
    trials.some((trial) => trial.params.some(([other, tried]) => other === name && tried !== value)),
  )
  return {
    json: { search: tuning.search, innerFolds, metric, score, candidates: trials.length },
    words: [
      `Tuned: ${searched.map(([name, value]) => `${name}=${value}`).join(', ')}: best of ${trials.length} ` +
        `candidates, ${metric} ${score?.toFixed(4)} on ${innerFolds} inner folds.`,
    ],
  }
}

export const train = defineCommand({
  example: [
    '$0 train photos.fc7 --trainer linear-svm --set C=0.1 --out photos.svm',
    'fit on the train split, or on everything where there is none; --tune in place of --set searches for c',
  ],
  options: (yargs) =>
    searchOptions(yargs, 'Search the trainer’s grid by inner folds of the training rows; what --set names stays')
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
        describe: `${preprocessHelp}; default suits the trainer`,
      })
      .option('class-weight', {
        choices: ['none', 'balanced'] as const,
        default: 'none' as const,
        describe: 'Weight classes by rarity',
      })
      .option('weights', {
        type: 'string',
        describe: 'CSV with the columns id (or path) and weight: how much each training row counts',
      })
      .option('metric', { choices: metricIds, describe: 'What --tune ranks candidates by (default accuracy)' })
      .option('calibrate', { choices: ['sigmoid', 'isotonic'] as const, describe: 'Turn scores into probabilities' })
      .option('time-limit', { type: 'number', describe: 'Seconds after which to give up' })
      .option('memory-limit', {
        type: 'number',
        describe: 'GiB that it may take; default nine tenths of this machine’s',
      })
      .option('dry-run', {
        type: 'boolean',
        default: false,
        describe: 'Say what would be fitted and the memory estimated',
      })
      .option('onnx', {
        type: 'boolean',
        default: false,
        describe: 'Write classifier.onnx as well, from embeddings to classes',
      })
      .option('threads', { type: 'number', default: availableParallelism(), describe: 'Threads in all' })
      .option('out', { type: 'string', demandOption: true, describe: 'Classifier folder to write' })
      .epilogue(`Hyper-parameters:\n\n${parameterHelp()}`),
  async run(options, context) {
    const request = {
      ...context,
      store: options.store,
      trainer: options.trainer,
      params: new Map(options.set.map(parseSetting)),
      tune: searchOf(options),
      metric: options.metric,
      split: options.split,
      layer: options.layer,
      preprocess: options.preprocess,
      classWeight: options.classWeight,
      weights: options.weights,
      calibrate: options.calibrate,
      timeLimitSeconds: options.timeLimit,
      memoryBytes: options.memoryLimit === undefined ? undefined : options.memoryLimit * 2 ** 30,
      threads: options.threads,
      onnx: options.onnx,
      out: options.out,
    }
    if (options.dryRun) {
      const { title, params, ...plan } = await planTrain(request)
      context.result(
        { dryRun: true, out: options.out, ...plan, params: Object.fromEntries(params) },
        [
          `Would write ${options.out}: ${title} of ${plan.rows} rows of ${plan.columns} numbers, ` +
            `preprocessing ${plan.preprocess}.`,
          ...[...params].map(([name, value]) => `${name}: ${value}`),
        ].join('\n'),
      )
      return
    }
    const { classifier, title, rows, seconds, memory, onnx } = await trainClassifier(request)
    const { info, classes, facts } = classifier
    const tuning = tuningResult(classifier)
    context.result(
      {
        out: options.out,
        trainer: options.trainer,
        rows,
        classes,
        seconds,
        params: Object.fromEntries(info.params),
        tuning: tuning.json,
        preprocess: info.preprocess,
        scoreKind: classifier.scoreKind,
        onnx,
        memory: { ...memory, peakBytes: process.resourceUsage().maxRSS * 1024 },
        facts,
      },
      [
        `${options.out}: ${title}, ${rows} rows, ${classes.length} classes.`,
        ...tuning.words,
        ...Object.entries(facts).map(([name, value]) => `${name}: ${value}`),
      ].join('\n'),
    )
  },
})

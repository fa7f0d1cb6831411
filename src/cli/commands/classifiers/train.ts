import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { Fc7Error } from '../../../base/errors.js'
import { formatSeconds } from '../../../base/text.js'
import { type Classifier, fitClassifier } from '../../../classifiers/classifier.js'
import { onnxName } from '../../../classifiers/classifier-file.js'
import { checkMemory, estimateMemory, memoryWords } from '../../../classifiers/memory.js'
import { provenanceOf } from '../../../classifiers/store-provenance.js'
import { readWeights } from '../../../classifiers/weights-file.js'
import { openStore, readTable } from '../../../embeddings/store/store.js'
import { fitTuned } from '../../../evaluation/fit/tuned-fit.js'
import { metricIds } from '../../../evaluation/metrics/registry.js'
import { describeParams, parseSetting, resolveParams } from '../../../trainers/params.js'
import { formatPreprocess, parsePreprocess, preprocessHelp } from '../../../trainers/preprocess/preprocess.js'
import { getTrainer, trainers } from '../../../trainers/registry.js'
import { trainingSetOf } from '../../../trainers/training-set.js'
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
      `Tuned: ${searched.map(([name, value]) => `${name}=${value}`).join(', ')}: best of ${trials.length} candidates, ${metric} ${score?.toFixed(4)} on ${innerFolds} inner folds.`,
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
    const trainer = getTrainer(options.trainer)
    if (options.onnx && trainer.reference) {
      throw new Fc7Error('ONNX_NOT_SUPPORTED', `A classifier of ${trainer.id} cannot be written as ONNX.`, {
        hint: 'Reference trainers stay in JavaScript; leave --onnx out, or choose another trainer.',
      })
    }
    const given = new Map(options.set.map(parseSetting))
    const params = resolveParams(trainer.params, given)
    const tune = searchOf(options)
    const store = await openStore(options.store)
    const table = await readTable(store, options.layer)
    const { set, split, rows } = trainingSetOf(table, options.split)
    const weights = options.weights === undefined ? undefined : await readWeights(options.weights, table, rows)
    context.progress.say(
      `Fitting ${trainer.title} on ${set.x.rows} rows${split ? ` of the ${split} split` : ''}, ${set.classes.length} classes.`,
    )
    const memory = estimateMemory({
      trainer,
      set,
      params,
      preprocess: options.preprocess,
      threads: options.threads,
      calibrate: options.calibrate,
      tune: tune !== undefined,
      otherNumbers: table.x.length,
    })
    checkMemory(memory, trainer, options.memoryLimit === undefined ? undefined : options.memoryLimit * 2 ** 30)
    context.progress.say(memoryWords(memory))
    if (options.dryRun) {
      const preprocess = formatPreprocess(parsePreprocess(options.preprocess ?? trainer.defaultPreprocess))
      trainer.checkSize?.(set.x.rows, set.x.cols, set.classes.length)
      context.result(
        {
          dryRun: true,
          out: options.out,
          trainer: trainer.id,
          rows: set.x.rows,
          columns: set.x.cols,
          split,
          classes: set.classes,
          params: Object.fromEntries(params),
          preprocess,
          memory,
        },
        [
          `Would write ${options.out}: ${trainer.title} of ${set.x.rows} rows of ${set.x.cols} numbers, ` +
            `preprocessing ${preprocess}.`,
          ...[...params].map(([name, value]) => `${name}: ${value}`),
        ].join('\n'),
      )
      return
    }
    const started = performance.now()
    const task = context.progress.task({ label: trainer.id, total: 100, unit: '%' })
    const fit = {
      trainer,
      set: { ...set, ...(weights ? { weights: weights.values } : {}) },
      params: given,
      preprocess: options.preprocess,
      classWeight: options.classWeight,
      calibrate: options.calibrate,
      seed: context.seed,
      threads: options.threads,
      timeLimitSeconds: options.timeLimit,
      provenance: { ...provenanceOf(store, table.layer), ...(weights ? { weights: weights.sha256 } : {}) },
      signal: context.signal,
      onProgress: (fraction: number) => task.update(Math.round(fraction * 100)),
    }
    const originals = new Set([...rows.keys()].filter((place) => table.views[rows[place]!] === 0))
    const { metric } = options
    const classifier = tune ? await fitTuned({ ...fit, tune, originals, metric }) : await fitClassifier(fit)
    const seconds = (performance.now() - started) / 1000
    task.end(`${trainer.id}  fitted in ${formatSeconds(seconds)}`)
    if (classifier.facts.converged === 'no')
      context.progress.say(
        `Warning: ${trainer.id} had not converged when it stopped; its objective may be above the best. Allow ` +
          'more iterations (--set max_iter=…), a smaller C, or a larger tolerance.',
      )
    await classifier.save(options.out, { onnx: options.onnx })
    const tuning = tuningResult(classifier)
    const facts = Object.entries(classifier.facts).map(([name, value]) => `${name}: ${value}`)
    context.result(
      {
        out: options.out,
        trainer: trainer.id,
        rows: set.x.rows,
        classes: classifier.classes,
        seconds,
        params: Object.fromEntries(classifier.info.params),
        tuning: tuning.json,
        preprocess: classifier.info.preprocess,
        scoreKind: classifier.scoreKind,
        onnx: options.onnx ? join(options.out, onnxName) : null,
        memory: { ...memory, peakBytes: process.resourceUsage().maxRSS * 1024 },
        facts: classifier.facts,
      },
      [
        `${options.out}: ${trainer.title}, ${set.x.rows} rows, ${set.classes.length} classes.`,
        ...tuning.words,
        ...facts,
      ].join('\n'),
    )
  },
})

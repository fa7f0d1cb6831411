import { availableParallelism } from 'node:os'
import { checkCount } from '../../../embeddings/extract/prepare.js'
import { type ModelProfile, profileModel } from '../../../embeddings/extract/profile-model.js'
import { poolings, providerNames } from '../../choices.js'
import { defineCommand } from '../../command.js'
import { formatTable } from '../../terminal.js'

const shownNodes = 20

function text(profile: ModelProfile, all: boolean): string {
  const sum = profile.nodes.reduce((total, node) => total + node.milliseconds, 0)
  const share = (milliseconds: number): string => `${((100 * milliseconds) / sum).toFixed(1)} %`
  const { withoutRewritesMilliseconds: plain } = profile
  const nodes = all
    ? profile.nodes
    : profile.nodes.toSorted((a, b) => b.milliseconds - a.milliseconds).slice(0, shownNodes)
  return [
    `${profile.backbone} on ${profile.provider}, batch ${profile.batch}, ${profile.threads} threads: ` +
      `${profile.milliseconds.toFixed(1)} ms a run, ${profile.imagesPerSecond.toFixed(1)} images a second (with ` +
      'the profiler on)',
    ...(plain === null
      ? []
      : [
          `Exact rewrites (${profile.rewrites.join(', ')}): ${(plain / profile.milliseconds).toFixed(2)} times ` +
            `as fast as without (${plain.toFixed(1)} ms).`,
        ]),
    '',
    formatTable(
      ['operator', 'count', 'ms', 'share'],
      profile.ops.map(({ op, count, milliseconds }) => [
        op,
        String(count),
        milliseconds.toFixed(2),
        share(milliseconds),
      ]),
    ),
    '',
    formatTable(
      [all ? 'layer, in order' : `layer, the ${nodes.length} slowest`, 'operator', 'output', 'ms', 'share'],
      nodes.map(({ name, op, outputShape, milliseconds }) => [
        name.length > 48 ? `${name.slice(0, 47)}…` : name,
        op,
        outputShape.join('×'),
        milliseconds.toFixed(2),
        share(milliseconds),
      ]),
    ),
  ].join('\n')
}

export const profile = defineCommand({
  example: ['$0 profile resnet50', 'time of each operator of the graph that extraction runs'],
  options: (yargs) =>
    yargs
      .positional('model', { type: 'string', demandOption: true, describe: 'Backbone id or ONNX file' })
      .option('layer', { type: 'string', array: true, describe: 'Layer to run up to (repeatable)' })
      .option('pool', { choices: poolings, default: 'avg' as const, describe: 'What 4-D layers become' })
      .option('recipe', { type: 'string', describe: 'Preprocessing; default the model card’s first' })
      .option('provider', { choices: providerNames, default: 'auto' as const, describe: 'Where the network runs' })
      .option('batch-size', { type: 'number', default: 8, describe: 'Images a run' })
      .option('threads', { type: 'number', describe: 'Threads inside an operator; default the cores' })
      .option('runs', { type: 'number', default: 5, describe: 'Measured runs, of which the median counts' })
      .option('rewrite', { type: 'boolean', default: true, describe: 'With exact rewrites (--no-rewrite: without)' })
      .option('all', { type: 'boolean', default: false, describe: 'Show every layer, in order' }),
  async run({ model, layer, pool, recipe, provider, batchSize: batch, threads, runs, rewrite, all }, context) {
    for (const [name, value] of Object.entries({ 'batch-size': batch, threads, runs })) checkCount(name, value)
    const { cacheFolder, offline, progress, signal } = context
    const result = await profileModel({
      model,
      pool,
      provider,
      batch,
      runs,
      rewrite,
      threads: threads ?? availableParallelism(),
      cacheFolder,
      offline,
      progress,
      signal,
      layers: layer,
      recipe,
    })
    context.result(result, text(result, all))
  },
})

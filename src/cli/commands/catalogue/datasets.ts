import { Fc7Error } from '../../../base/errors.js'
import { formatBytes } from '../../../base/text.js'
import { listDatasetIds, loadDatasetCard } from '../../../datasets/card.js'
import { pullDataset } from '../../../datasets/pull.js'
import { defineCommand } from '../../command.js'
import type { CommandContext } from '../../context.js'
import { formatTable } from '../../terminal.js'

async function list(context: CommandContext): Promise<void> {
  const cards = await Promise.all((await listDatasetIds()).map((id) => loadDatasetCard(id)))
  context.result(
    cards.map(({ id, title, classes, bytes, licence }) => ({ id, title, classes: classes.length, bytes, licence })),
    formatTable(
      ['id', 'what', 'classes', 'download'],
      cards.map((card) => [card.id, card.title, String(card.classes.length), formatBytes(card.bytes)]),
    ),
  )
}

async function show(id: string, context: CommandContext): Promise<void> {
  const card = await loadDatasetCard(id)
  context.result(
    card,
    [
      `${card.title} (${card.id})`,
      card.about,
      `Licence: ${card.licence}`,
      `Classes: ${card.classes.join(', ')}`,
      `Download: ${formatBytes(card.bytes)}`,
      `Written by default: ${card.subset.trainPerClass} train and ${card.subset.testPerClass} test images a ` +
        `class, seed ${card.subset.seed}`,
    ].join('\n'),
  )
}

export const datasets = defineCommand({
  example: ['$0 datasets pull cifar10', 'fetch CIFAR-10 and write its subset as PNG files'],
  options: (yargs) =>
    yargs
      .positional('action', { choices: ['list', 'show', 'pull'] as const, demandOption: true, describe: 'What to do' })
      .positional('id', { type: 'string', describe: 'Data set' })
      .option('train-per-class', { type: 'number', describe: 'Train images a class to write' })
      .option('test-per-class', { type: 'number', describe: 'Test images a class to write' })
      .check(({ action, id }) => {
        if (action !== 'list' && id === undefined)
          throw new Fc7Error('USAGE_DATASET', `\`datasets ${action}\` needs the id of a data set.`, {
            hint: '`fc7 datasets list` shows them.',
          })
        return true
      }),
  async run({ action, id, trainPerClass, testPerClass }, context) {
    if (action === 'list') return list(context)
    if (action === 'show') return show(id!, context)
    const card = await loadDatasetCard(id!)
    context.progress.say(
      `${card.title}: ${formatBytes(card.bytes)} to fetch unless it is in the cache; licence: ${card.licence}.`,
    )
    const { seed, cacheFolder, offline, progress, signal } = context
    const { folder } = await pullDataset(card, {
      cacheFolder,
      offline,
      progress,
      signal,
      seed,
      trainPerClass,
      testPerClass,
    })
    context.result({ id, folder }, folder)
  },
})

import type { Card, WeightSource } from '../../../backbones/card.js'
import { importBackbone } from '../../../backbones/import.js'
import { layerName, listLayers } from '../../../backbones/layers.js'
import { findCard, loadCard, loadCards } from '../../../backbones/library.js'
import { prepareBackbone } from '../../../backbones/prepare.js'
import { pullBackbone, pullBytes, seemsPulled } from '../../../backbones/pull.js'
import { resolveBackbone } from '../../../backbones/resolve.js'
import { Fc7Error } from '../../../base/errors.js'
import { formatBytes } from '../../../base/text.js'
import { readModel } from '../../../onnx/read.js'
import { defineCommand } from '../../command.js'
import type { CommandContext } from '../../context.js'
import { formatTable } from '../../terminal.js'

const recipeNamesOf = (card: Card): string[] =>
  card.recipes.map((recipe) => (typeof recipe === 'string' ? recipe : recipe.name))

async function list(context: CommandContext): Promise<void> {
  const { cards, broken } = await loadCards(context.cacheFolder)
  for (const { message } of broken) context.progress.say(message)
  const rows = await Promise.all(
    cards.map(async ({ card, own }) => ({
      id: card.id,
      title: card.title,
      own,
      bytes: pullBytes(card) ?? null,
      licence: card.licence ?? null,
      cached: await seemsPulled(card, context.cacheFolder),
    })),
  )
  context.result(
    rows,
    formatTable(
      ['id', 'what', 'download', 'here'],
      rows.map((row) => [
        row.id,
        row.title,
        row.own ? 'yours' : row.bytes === null ? '–' : formatBytes(row.bytes),
        row.cached ? 'yes' : 'no',
      ]),
    ),
  )
}

function trainingLine({ training }: Card): string[] {
  if (!training) return []
  const { optimizer, momentum, learningRate, weightDecay, batchSize, epochs, schedule, source, note } = training
  const numbers = [
    `rate ${learningRate}`,
    ...(momentum === undefined ? [] : [`momentum ${momentum}`]),
    ...(weightDecay === undefined ? [] : [`weight decay ${weightDecay}`]),
    ...(batchSize === undefined ? [] : [`batch ${batchSize}`]),
    ...(epochs === undefined ? [] : [`${epochs} epochs`]),
  ]
  return [
    `Trained with ${optimizer}, ${numbers.join(', ')}; ${schedule} (${source})`,
    ...(note ? [`  Note: ${note}`] : []),
  ]
}

async function show(id: string, context: CommandContext): Promise<void> {
  const { card, path } = await findCard(id, context.cacheFolder)
  context.result(
    card,
    [
      `${card.title} (${card.id})`,
      ...(card.about ? [card.about] : []),
      `Licence: ${card.licence ?? 'not stated'}`,
      ...(card.input ? [`Input: ${card.input.width}×${card.input.height} pixels, ${card.input.layout ?? 'NCHW'}`] : []),
      `Recipes: ${recipeNamesOf(card).join(', ')} (the first is the default)`,
      `Layers: ${card.layers.map((layer) => layer.alias).join(', ') || 'see `fc7 models layers`'}`,
      ...trainingLine(card),
      ...card.sources.map((source) => `Source: ${placeOf(source)}`),
      `Card: ${path}`,
    ].join('\n'),
  )
}

async function pull(id: string, context: CommandContext): Promise<void> {
  const card = await loadCard(id, context.cacheFolder)
  const { cacheFolder, offline, progress, signal } = context
  const bytes = pullBytes(card)
  progress.say(
    `${card.title}${bytes === undefined ? '' : `: ${formatBytes(bytes)} to fetch unless it is in the cache`}; ` +
      `licence: ${card.licence ?? 'not stated'}.`,
  )
  const pulled = await pullBackbone(card, { cacheFolder, offline, progress, signal })
  context.result({ id, ...pulled }, pulled.path)
}

async function layers(id: string, context: CommandContext, recipe: string | undefined): Promise<void> {
  // Layers do not depend on the recipe, so a file without a card gets any.
  const resolved = await resolveBackbone(id, {
    cacheFolder: context.cacheFolder,
    offline: true,
    recipeName: recipe,
  }).catch((error) => {
    if ((error as { code?: string | undefined }).code !== 'MODEL_NO_CARD') throw error
    return resolveBackbone(id, { cacheFolder: context.cacheFolder, offline: true, recipeName: 'torchvision' })
  })
  if (!resolved.weights) {
    throw new Fc7Error('MODEL_NOT_PULLED', `The weights of ${resolved.id} are not in the cache.`, {
      hint: `Run \`fc7 models pull ${resolved.id}\` first.`,
    })
  }
  const found = listLayers(
    prepareBackbone(await readModel(resolved.weights.path), resolved.card.input ?? {}),
    resolved.card,
  )
  context.result(
    found.map((layer) => ({ ...layer, name: layerName(layer) })),
    formatTable(
      ['layer', 'kind', 'shape', 'also called', ''],
      found.map((layer) => [
        layerName(layer),
        layer.kind,
        layer.shape.join('×'),
        [...layer.aliases.slice(1), ...(layer.aliases.length > 0 ? [layer.tensor] : [])].join(', '),
        layer.isDefault ? 'default' : '',
      ]),
    ),
  )
}

async function importModel(
  path: string,
  options: { readonly id: string; readonly recipe: string | undefined; readonly force: boolean },
  context: CommandContext,
): Promise<void> {
  const { cacheFolder, progress } = context
  const { id, recipe: recipeName, force } = options
  const imported = await importBackbone({ path, id, recipeName, force, cacheFolder, progress })
  const { card, defaultLayer } = imported
  context.result(
    { id, card: imported.cardPath, path: imported.path, sha256: imported.sha256, defaultLayer },
    [
      `${id}: ${imported.path}`,
      `Card: ${imported.cardPath}`,
      `Recipe: ${recipeNamesOf(card)[0]}, ${card.input?.width}×${card.input?.height} pixels`,
      `Embeddings are read from ${defaultLayer.name} (${defaultLayer.shape.join('×')}); \`fc7 models layers ` +
        `${id}\` lists the others.`,
    ].join('\n'),
  )
}

/** Where a source's bytes come from, in a word or two. */
function placeOf(source: WeightSource): string {
  if (source.kind === 'npm') return `${source.package}@${source.version} from npm`
  return source.kind === 'url' ? source.url : source.path
}

export const models = defineCommand({
  example: ['$0 models layers resnet50', 'the tensors that embeddings can be read from'],
  options: (yargs) =>
    yargs
      .positional('action', {
        choices: ['list', 'show', 'pull', 'layers', 'import'] as const,
        demandOption: true,
        describe: 'What to do',
      })
      .positional('model', {
        type: 'string',
        describe: 'Backbone id, ONNX file (layers, import) or TensorFlow.js folder (import)',
      })
      .option('id', { type: 'string', describe: 'Name that the imported model gets' })
      .option('recipe', { type: 'string', describe: 'Preprocessing that belongs to the file (import, layers)' })
      .option('force', { type: 'boolean', default: false, describe: 'Replace your own model of that name (import)' })
      .check(({ action, model, id }) => {
        if (action !== 'list' && model === undefined) {
          throw new Fc7Error('USAGE_MODEL', `\`models ${action}\` needs a model.`, {
            hint: action === 'import' ? 'Give its path.' : '`fc7 models list` shows the ids.',
          })
        }
        if (action === 'import' && id === undefined) {
          throw new Fc7Error('USAGE_MODEL', '`models import` needs --id.', {
            hint: 'It is the name to give the model.',
          })
        }
        return true
      }),
  async run({ action, model, recipe, id, force }, context) {
    if (action === 'list') return list(context)
    if (action === 'show') return show(model!, context)
    if (action === 'pull') return pull(model!, context)
    if (action === 'import') return importModel(model!, { id: id!, recipe, force }, context)
    return layers(model!, context, recipe)
  },
})

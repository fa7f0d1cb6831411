import { loadCard, loadCards } from '../../backbones/card.js'
import { layerName, listLayers } from '../../backbones/layers.js'
import { findBackbone, pullBackbone, pullBytes } from '../../backbones/pull.js'
import { resolveBackbone } from '../../backbones/resolve.js'
import { prepareTrunk } from '../../backbones/trunk.js'
import { Fc7Error } from '../../base/errors.js'
import { formatBytes } from '../../base/text.js'
import { readModel } from '../../onnx/read.js'
import { defineCommand } from '../command.js'
import type { CommandContext } from '../context.js'
import { formatTable } from '../terminal.js'

async function list(context: CommandContext): Promise<void> {
  const { cacheFolder } = context
  const cards = await loadCards()
  const rows = await Promise.all(
    cards.map(async (card) => ({
      id: card.id,
      title: card.title,
      bytes: pullBytes(card) ?? null,
      licence: card.licence ?? null,
      cached: (await findBackbone(card, { cacheFolder, offline: true })) !== undefined,
    })),
  )
  context.result(
    rows,
    formatTable(
      ['id', 'what', 'download', 'in the cache'],
      rows.map((row) => [
        row.id,
        row.title,
        row.bytes === null ? '–' : formatBytes(row.bytes),
        row.cached ? 'yes' : 'no',
      ]),
    ),
  )
}

async function show(id: string, context: CommandContext): Promise<void> {
  const card = await loadCard(id)
  const recipes = card.recipes.map((recipe) => (typeof recipe === 'string' ? recipe : recipe.name))
  const { training } = card
  context.result(
    card,
    [
      `${card.title} (${card.id})`,
      ...(card.about ? [card.about] : []),
      `Licence: ${card.licence ?? 'not stated'}`,
      `Recipes: ${recipes.join(', ')} (the first is the default)`,
      `Layers: ${card.layers.map((layer) => layer.alias).join(', ') || 'see `fc7 models layers`'}`,
      ...(training
        ? [
            `Trained with ${training.optimiser}, rate ${training.learningRate}, weight decay ${training.weightDecay}; ${training.schedule} (${training.source})`,
          ]
        : []),
      ...card.sources.map(
        (source) =>
          `Source: ${source.kind === 'npm' ? `${source.package}@${source.version} from npm` : source.kind === 'url' ? source.url : source.path}`,
      ),
    ].join('\n'),
  )
}

async function pull(id: string, context: CommandContext): Promise<void> {
  const card = await loadCard(id)
  const { cacheFolder, offline, progress, signal } = context
  const bytes = pullBytes(card)
  progress.say(
    `${card.title}${bytes === undefined ? '' : `: ${formatBytes(bytes)} to fetch unless it is in the cache`}; licence: ${card.licence ?? 'not stated'}.`,
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
    if ((error as { code?: string }).code !== 'MODEL_NO_CARD') throw error
    return resolveBackbone(id, { cacheFolder: context.cacheFolder, offline: true, recipeName: 'torchvision' })
  })
  if (!resolved.weights) {
    throw new Fc7Error('MODEL_NOT_PULLED', `The weights of ${resolved.id} are not in the cache.`, {
      hint: `Run \`fc7 models pull ${resolved.id}\` first.`,
    })
  }
  const found = listLayers(
    prepareTrunk(await readModel(resolved.weights.path), resolved.card.input ?? {}),
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

export const models = defineCommand({
  example: ['$0 models layers resnet50', 'the tensors that embeddings can be read from'],
  options: (yargs) =>
    yargs
      .positional('action', {
        choices: ['list', 'show', 'pull', 'layers'] as const,
        demandOption: true,
        describe: 'What to do',
      })
      .positional('model', { type: 'string', describe: 'Backbone id, or ONNX file (layers)' })
      .option('recipe', { type: 'string', describe: 'Preprocessing that belongs to the file (import)' })
      .check(({ action, model }) => {
        if (action !== 'list' && model === undefined) throw new Error(`models ${action} needs a model`)
        return true
      }),
  async run({ action, model, recipe }, context) {
    if (action === 'list') return list(context)
    if (action === 'show') return show(model!, context)
    if (action === 'pull') return pull(model!, context)
    return layers(model!, context, recipe)
  },
})

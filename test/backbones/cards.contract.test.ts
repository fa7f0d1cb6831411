import { readdir } from 'node:fs/promises'
import { describe, expect, it } from '@jest/globals'
import { cardSchema, recipeOf } from '../../src/backbones/card.js'
import { buildExtractionGraph } from '../../src/backbones/extraction.js'
import { chooseLayers, layerName, listLayers } from '../../src/backbones/layers.js'
import { cardsFolder, classNames, listCardIds, loadCard, loadCards } from '../../src/backbones/library.js'
import { prepareBackbone } from '../../src/backbones/prepare.js'
import { recipeSize } from '../../src/images/recipe/recipe-size.js'
import { defaultLayers, fromNpm } from './default-layers.js'

const ids = await listCardIds()

describe.each(ids)('the card %s', (id) => {
  it('is valid, complete and pinned', async () => {
    const card = await loadCard(id)
    expect(cardSchema.parse(card)).toEqual(card)
    expect(card.licence).toBeDefined()
    expect(card.training?.source).toBeDefined()
    expect(card.input).toBeDefined()
    for (const source of card.sources) {
      expect(source.kind).not.toBe('file')
      if (source.kind === 'url') expect([source.url.slice(0, 8), typeof source.bytes]).toEqual(['https://', 'number'])
    }
    const aliases = card.layers.map(({ alias }) => alias)
    expect(new Set(aliases).size).toBe(aliases.length)
    expect(new Set(await classNames(card)).size).toBeGreaterThan(990)
    expect((await classNames(card))?.length).toBe(1000)
  })

  it('has recipes that give images of its input size', async () => {
    const card = await loadCard(id)
    for (const entry of card.recipes) {
      const name = typeof entry === 'string' ? entry : entry.name
      const chosen = recipeOf(card, card.input!, name)
      expect(chosen.name).toBe(name)
      expect(recipeSize(chosen.recipe)).toEqual({ width: card.input!.width, height: card.input!.height })
    }
  })

  it('has its line in the table of default layers', () => {
    expect([fromNpm.card, ...defaultLayers.map(({ card }) => card)]).toContain(id)
  })
})

describe('networks written out after their papers', () => {
  const built = defaultLayers.flatMap((row) => ('built' in row.graph ? [{ ...row, make: row.graph.built }] : []))

  it.each(built)('$card is read at $layer, $dim values', async ({ card: id, make, layer, dim }) => {
    const card = await loadCard(id)
    const layers = listLayers(prepareBackbone(make(), card.input), card)
    expect(layers.filter(({ isDefault }) => isDefault).map(layerName)).toEqual([layer])
    const named = layers.flatMap(({ aliases }) => aliases)
    expect(card.layers.map(({ alias }) => alias).filter((alias) => !named.includes(alias))).toEqual([])
    const { recipe } = recipeOf(card, card.input!)
    const built = buildExtractionGraph(make(), { recipe, card })
    expect(built.layers).toMatchObject([{ layer, dim }])
    const asked = card.layers.map(({ alias }) => alias)
    expect(chooseLayers(layers, asked).map(({ name }) => name)).toEqual(asked)
  })
})

it('every file of the folder is a card', async () => {
  const names = (await readdir(cardsFolder)).filter((name) => name.endsWith('.json'))
  const { cards, broken } = await loadCards()
  expect(cards.map(({ card }) => `${card.id}.json`).sort()).toEqual(names.sort())
  expect(broken).toEqual([])
})

import type { Card } from '../../backbones/card.js'
import { loadCard, loadCards } from '../../backbones/library.js'
import { type PulledBackbone, pullBackbone as pull } from '../../backbones/pull.js'
import type { ParamSpec } from '../../trainers/contract.js'
import { trainers } from '../../trainers/registry.js'
import { type CommonOptions, contextOf } from '../shared/context.js'

/** Cards of every backbone that fc7 knows by name. */
export const listBackbones = async (options: CommonOptions = {}): Promise<Card[]> =>
  (await loadCards(contextOf(options).cacheFolder)).cards.map(({ card }) => card)

export interface PullOptions extends CommonOptions {
  /** Backbone id. */
  readonly model: string
}

/** Fetches a backbone's weights into the cache, and checks their hash. */
export async function pullBackbone(options: PullOptions): Promise<PulledBackbone> {
  const context = contextOf(options)
  return pull(await loadCard(options.model, context.cacheFolder), context)
}

/** A trainer as a user chooses it. */
export interface TrainerEntry {
  readonly id: string
  readonly title: string
  readonly summary: string
  readonly params: readonly ParamSpec[]
}

/** The trainers there are, with their hyper-parameters. */
export const listTrainers = (): TrainerEntry[] =>
  trainers.map(({ id, title, summary, params }) => ({ id, title, summary, params }))

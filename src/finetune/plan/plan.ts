import type { Card } from '../../backbones/card.js'
import { Fc7Error } from '../../base/errors.js'
import { formatBytes } from '../../base/text.js'
import { chooseBoundary, defaultBoundary } from './boundaries.js'
import { type OptimizerKind, optimizerOf, phaseDefaults } from './defaults.js'
import type { Boundary } from './network.js'
import type { FinetuneOptions } from './options.js'
import { type PhaseInput, type PhasePlan, planPhase } from './phase-plan.js'
import type { Roles } from './splits.js'

export type { PhasePlan } from './phase-plan.js'

export interface FinetunePlan {
  readonly format: 1
  readonly strategy: FinetuneOptions['strategy']
  readonly backbone: { readonly id: string; readonly sha256: string; readonly recipe: string }
  readonly dataset: { readonly name: string; readonly fingerprint: string }
  readonly classes: readonly string[]
  readonly loss: 'softmax' | 'sigmoid'
  readonly images: {
    readonly train: number
    readonly select: number
    readonly report: number
    readonly sources: Roles['sources']
  }
  readonly features: { readonly layer: string; readonly dim: number }
  readonly optimizer: {
    readonly kind: OptimizerKind
    readonly weightDecay: number
    readonly momentum: number
    /** Largest norm of the whole gradient; null for no limit. */
    readonly clipNorm: number | null
  }
  readonly phases: readonly PhasePlan[]
  readonly options: FinetuneOptions
}

export interface PlanInput extends PhaseInput {
  readonly card: Pick<Card, 'training'>
  readonly backbone: FinetunePlan['backbone']
  readonly dataset: FinetunePlan['dataset']
  readonly classes: readonly string[]
  /** Of this machine. */
  readonly memoryBytes: number
}

/** How the card says that the backbone was trained: what `scratch` repeats. */
type PublishedTraining = Card['training']

function checkOptions({ options, roles }: PhaseInput): void {
  const { batchSize, gradAccumSteps, freezeUntil, strategy } = options
  const images = roles.train.length
  if (batchSize > images) {
    throw new Fc7Error('FINETUNE_BATCH', `A batch of ${batchSize} is larger than the ${images} images to train on.`, {
      hint: `Use --batch-size ${Math.max(1, Math.floor(images / 2))} or smaller.`,
    })
  }
  const stepsPerEpoch = Math.ceil(images / batchSize)
  if (gradAccumSteps > stepsPerEpoch) {
    throw new Fc7Error(
      'FINETUNE_BATCH',
      `A step would take ${gradAccumSteps} batches of ${batchSize}; the ${images} images to train on ` +
        `make ${stepsPerEpoch}.`,
      { hint: `Use --grad-accum-steps ${stepsPerEpoch} or smaller.` },
    )
  }
  if (freezeUntil !== undefined && strategy !== 'last') {
    throw new Fc7Error('USAGE_FINETUNE', '--freeze-until belongs to --strategy last.', {
      hint: '`head` freezes everything, `all` and `scratch` nothing.',
    })
  }
}

function planOptimizer(options: FinetuneOptions, published: PublishedTraining): FinetunePlan['optimizer'] {
  const { strategy, optimizer, weightDecay, clipNorm } = options
  const kind = optimizer ?? (published ? publishedKind(published.optimizer) : optimizerOf(strategy))
  return {
    kind,
    weightDecay: weightDecay ?? published?.weightDecay ?? (kind === 'adamw' ? 0.01 : 1e-4),
    momentum: published?.momentum ?? 0.9,
    // The new layer's first gradients are as large as the features, which reach hundreds in networks that take values
    // to 255: without a limit they destroy in a few steps what was pretrained.
    clipNorm: (clipNorm ?? (strategy === 'scratch' ? 0 : 1)) || null,
  }
}

function publishedKind(optimizer: string): OptimizerKind {
  if (/adamw/i.test(optimizer)) return 'adamw'
  return /adam/i.test(optimizer) ? 'adam' : 'sgd'
}

/** The phases of a strategy in order, each by the boundary above which it trains. */
function phaseBoundaries({ network, options }: PhaseInput): readonly (readonly [string, Boundary])[] {
  const { strategy, freezeUntil } = options
  const pixels = network.boundaries[0]!
  if (strategy === 'head') return [['head', network.features]]
  if (strategy === 'last')
    return [['last', freezeUntil === undefined ? defaultBoundary(network) : chooseBoundary(network, freezeUntil)]]
  if (strategy === 'lp-ft') {
    return [
      ['head', network.features],
      ['all', pixels],
    ]
  }
  return [[strategy, pixels]]
}

function planPhases(input: PhaseInput, kind: OptimizerKind, published: PublishedTraining): PhasePlan[] {
  const { options } = input
  const { strategy } = options
  return phaseBoundaries(input).map(([name, boundary], i) => {
    const usual = phaseDefaults[strategy][i]!
    // A rate that is given is meant for the pretrained layers; a new layer alone takes as much more as beside them.
    const given = options.lr === undefined ? undefined : options.lr * (strategy === 'lp-ft' && name === 'head' ? 10 : 1)
    return planPhase(input, {
      name,
      boundary,
      epochs: options.epochs ?? (published?.epochs === undefined ? usual.epochs : Math.ceil(published.epochs)),
      lr: given ?? published?.learningRate ?? usual.lr[kind === 'sgd' ? 'sgd' : 'adam'],
      headLrFactor: usual.headLrFactor ?? options.headLrFactor,
      batchNorm: options.batchNorm ?? usual.batchNorm,
      optimizerSlots: kind === 'sgd' ? 1 : 2,
    })
  })
}

function checkMemory(phases: readonly PhasePlan[], { options, memoryBytes }: PlanInput): void {
  const limit = options.memoryBytes ?? memoryBytes
  const tooLarge = phases.find((phase) => phase.memoryBytes > limit * 0.9)
  if (!tooLarge) return
  throw new Fc7Error(
    'FINETUNE_MEMORY',
    `Training ${tooLarge.name} would need about ${formatBytes(tooLarge.memoryBytes)}, ` +
      `${options.memoryBytes === undefined ? 'this machine has' : '--memory-limit allows'} ${formatBytes(limit)}.`,
    {
      hint:
        'Use a smaller --batch-size with --grad-accum-steps, --optimizer sgd, or freeze more of the network ' +
        '(--strategy last or head).',
    },
  )
}

/**
 * What fine-tuning will do, as plain data; nothing is computed.
 *
 * @throws Fc7Error FINETUNE_BATCH, FINETUNE_LAYER, FINETUNE_MEMORY, USAGE_FINETUNE
 */
export function planFinetune(input: PlanInput): FinetunePlan {
  const { network, card, roles, options, classes } = input
  checkOptions(input)
  const published = options.strategy === 'scratch' ? card.training : undefined
  const optimizer = planOptimizer(options, published)
  const phases = planPhases(input, optimizer.kind, published)
  checkMemory(phases, input)
  return {
    format: 1,
    strategy: options.strategy,
    backbone: input.backbone,
    dataset: input.dataset,
    classes,
    loss: options.positive === undefined ? 'softmax' : 'sigmoid',
    images: {
      train: roles.train.length,
      select: roles.select.length,
      report: roles.report.length,
      sources: roles.sources,
    },
    features: { layer: network.layer.name, dim: network.features.row.reduce((all, n) => all * n, 1) },
    optimizer,
    phases,
    options,
  }
}

import type { Card } from '../../backbones/card.js'
import { Fc7Error } from '../../base/errors.js'
import { formatBytes } from '../../base/text.js'
import { type OptimizerKind, optimizerOf, phaseDefaults } from './defaults.js'
import {
  type Boundary,
  chooseBoundary,
  defaultBoundary,
  type HeadedNetwork,
  headBias,
  headWeight,
  trainedParameters,
} from './network.js'
import type { FinetuneOptions } from './options.js'
import type { Roles } from './splits.js'

/** One stretch of training with one set of weights that move; `lp-ft` has two. */
export interface PhasePlan {
  readonly name: string
  readonly boundary: string
  readonly boundaryTensor: string
  readonly trainable: readonly string[]
  readonly trainedValues: number
  readonly frozenValues: number
  readonly epochs: number
  readonly stepsPerEpoch: number
  readonly lr: number
  readonly headLrFactor: number
  readonly batchNorm: 'frozen' | 'train'
  /** `cached`: activations at the boundary are computed once, `views` of each image. */
  readonly trunk: 'cached' | 'computed each epoch' | 'trained'
  readonly views: number
  readonly cacheBytes: number
  /**
   * Rows that one run of the training graph may take: a frozen part that is not cached computes all of them at once.
   */
  readonly rowsPerRun: number
  /** Images that go through the frozen part in all. */
  readonly trunkPasses: number
  readonly memoryBytes: number
}

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

export interface PlanInput {
  readonly network: HeadedNetwork
  readonly card: Pick<Card, 'training'>
  readonly backbone: FinetunePlan['backbone']
  readonly dataset: FinetunePlan['dataset']
  readonly classes: readonly string[]
  readonly roles: Roles
  readonly options: FinetuneOptions
  /** Of this machine. */
  readonly memoryBytes: number
}

// Measured as peaks of a process by bench/finetune/memory.mjs.
/** Node, its threads for decoding and training, onnxruntime. */
const baseBytes = 300 << 20
/** Activations that the backward pass keeps, over the forward pass's own. */
const backwardFactor = 1.65
/**
 * Copies of a frozen weight, 3.5 where it is dense to 5 where it is a convolution: in the backbone, the network and the
 * graph's file, and laid out for speed in a session.
 */
const frozenCopies = 4.25
/**
 * Copies of a trained weight and of each of its states: on both threads, going into the loop and out, in the
 * checkpoint.
 */
const stateCopies = 5
/** Copies of a trained weight alone: gradient, backbone, network, first value, best epoch. */
const weightCopies = 5

/** What a frozen part that is not cached may hold at once. */
const maxTrunkBytes = 512 << 20

const product = (dims: readonly number[]): number => dims.reduce((all, n) => all * n, 1)

/** Estimated bytes while a phase trains: parameters in and out with state and gradient, activations, what is cached. */
function estimate(
  input: PlanInput,
  trainedValues: number,
  frozenValues: number,
  activations: number,
  slots: number,
  otherBytes: number,
): number {
  const { options } = input
  const perWeight = stateCopies * (1 + slots) + weightCopies + (options.gradAccumSteps > 1 ? stateCopies : 0)
  return Math.round(
    4 * (trainedValues * perWeight + frozenCopies * frozenValues) +
      4 * activations * options.batchSize * backwardFactor +
      otherBytes +
      baseBytes,
  )
}

function phaseOf(
  input: PlanInput,
  name: string,
  boundary: Boundary,
  settings: {
    readonly epochs: number
    readonly lr: number
    readonly headLrFactor: number
    readonly batchNorm: 'frozen' | 'train'
  },
  slots: number,
): PhasePlan {
  const { network, roles, options } = input
  const trained = trainedParameters(network, boundary)
  const trainedValues = trained.reduce((sum, { values }) => sum + values, 0)
  const all = network.parameters.reduce((sum, { values }) => sum + values, 0)
  const frozen = boundary.tensor !== network.boundaries[0]!.tensor
  const stored = roles.train.length + roles.select.length
  const rowBytes = 4 * product(boundary.row)
  let views = 1
  if (frozen && options.augment)
    views = Math.max(
      1,
      Math.min(
        options.views,
        settings.epochs,
        Math.floor((options.cacheBudgetBytes / rowBytes - roles.select.length) / roles.train.length),
      ),
    )
  const cacheBytes = (roles.train.length * views + roles.select.length) * rowBytes
  const cached = frozen && (options.cache ?? cacheBytes <= options.cacheBudgetBytes)
  const activations = network.boundaries
    .filter(({ place }) => place >= boundary.place)
    // A boundary stands for the branches below it as well.
    .reduce((sum, { row }) => sum + 2 * product(row), 0)
  // While one activation is made of another, a third may be kept for a branch.
  const trunkRowBytes =
    3 *
    4 *
    Math.max(...network.boundaries.filter(({ place }) => place <= boundary.place).map(({ row }) => product(row)))
  const rowsPerRun = frozen && !cached ? Math.max(options.batchSize, Math.floor(maxTrunkBytes / trunkRowBytes)) : 65_536
  const otherBytes = cached ? cacheBytes : frozen ? rowsPerRun * trunkRowBytes : 0
  return {
    name,
    boundary: boundary.name,
    boundaryTensor: boundary.tensor,
    trainable: trained.map((parameter) => parameter.name),
    trainedValues,
    frozenValues: all - trainedValues,
    epochs: settings.epochs,
    stepsPerEpoch: Math.ceil(roles.train.length / options.batchSize),
    lr: settings.lr,
    headLrFactor: settings.headLrFactor,
    batchNorm: settings.batchNorm,
    trunk: cached ? 'cached' : frozen ? 'computed each epoch' : 'trained',
    views: cached ? views : 1,
    cacheBytes: cached ? cacheBytes : 0,
    rowsPerRun,
    trunkPasses: frozen ? (cached ? roles.train.length * views + roles.select.length : stored * settings.epochs) : 0,
    memoryBytes: estimate(input, trainedValues, all - trainedValues, activations, slots, otherBytes),
  }
}

/**
 * What fine-tuning will do, as plain data; nothing is computed.
 *
 * @throws Fc7Error FINETUNE_BATCH, FINETUNE_LAYER, FINETUNE_MEMORY, USAGE_FINETUNE
 */
export function planFinetune(input: PlanInput): FinetunePlan {
  const { network, card, roles, options, classes } = input
  const { strategy, batchSize: batch } = options
  if (batch > roles.train.length) {
    throw new Fc7Error(
      'FINETUNE_BATCH',
      `A batch of ${batch} is larger than the ${roles.train.length} images to train on.`,
      {
        hint: `Use --batch-size ${Math.max(1, Math.floor(roles.train.length / 2))} or smaller.`,
      },
    )
  }
  const stepsPerEpoch = Math.ceil(roles.train.length / batch)
  if (options.gradAccumSteps > stepsPerEpoch) {
    throw new Fc7Error(
      'FINETUNE_BATCH',
      `A step would take ${options.gradAccumSteps} batches of ${batch}; the ${roles.train.length} images to train on ` +
        `make ${stepsPerEpoch}.`,
      { hint: `Use --grad-accum-steps ${stepsPerEpoch} or smaller.` },
    )
  }
  if (options.freezeUntil !== undefined && strategy !== 'last') {
    throw new Fc7Error('USAGE_FINETUNE', '--freeze-until belongs to --strategy last.', {
      hint: '`head` freezes everything, `all` and `scratch` nothing.',
    })
  }
  const published = strategy === 'scratch' ? card.training : undefined
  const kind: OptimizerKind =
    options.optimizer ??
    (published
      ? /adamw/i.test(published.optimizer)
        ? 'adamw'
        : /adam/i.test(published.optimizer)
          ? 'adam'
          : 'sgd'
      : optimizerOf(strategy))
  const slots = kind === 'sgd' ? 1 : 2
  const pixels = network.boundaries[0]!
  const boundaries: Readonly<Record<FinetuneOptions['strategy'], () => readonly (readonly [string, Boundary])[]>> = {
    head: () => [['head', network.features]],
    last: () => [
      [
        'last',
        options.freezeUntil === undefined ? defaultBoundary(network) : chooseBoundary(network, options.freezeUntil),
      ],
    ],
    all: () => [['all', pixels]],
    scratch: () => [['scratch', pixels]],
    'lp-ft': () => [
      ['head', network.features],
      ['all', pixels],
    ],
  }
  const phases = boundaries[strategy]().map(([name, boundary], i) => {
    const usual = phaseDefaults[strategy][i]!
    // A rate that is given is meant for the pretrained layers; a new layer alone takes as much more as beside them.
    const given = options.lr === undefined ? undefined : options.lr * (strategy === 'lp-ft' && name === 'head' ? 10 : 1)
    return phaseOf(
      input,
      name,
      boundary,
      {
        epochs: options.epochs ?? (published?.epochs === undefined ? usual.epochs : Math.ceil(published.epochs)),
        lr: given ?? published?.learningRate ?? usual.lr[kind === 'sgd' ? 'sgd' : 'adam'],
        headLrFactor: usual.headLrFactor ?? options.headLrFactor,
        batchNorm: options.batchNorm ?? usual.batchNorm,
      },
      slots,
    )
  })
  for (const phase of phases) {
    const limit = options.memoryBytes ?? input.memoryBytes
    if (phase.memoryBytes <= limit * 0.9) continue
    throw new Fc7Error(
      'FINETUNE_MEMORY',
      `Training ${phase.name} would need about ${formatBytes(phase.memoryBytes)}, ` +
        `${options.memoryBytes === undefined ? 'this machine has' : '--memory-limit allows'} ${formatBytes(limit)}.`,
      {
        hint:
          'Use a smaller --batch-size with --grad-accum-steps, --optimizer sgd, or freeze more of the network ' +
          '(--strategy ' +
          'last or head).',
      },
    )
  }
  return {
    format: 1,
    strategy,
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
    features: { layer: network.layer.name, dim: product(network.features.row) },
    optimizer: {
      kind,
      weightDecay: options.weightDecay ?? published?.weightDecay ?? (kind === 'adamw' ? 0.01 : 1e-4),
      momentum: published?.momentum ?? 0.9,
      // The new layer's first gradients are as large as the features, which reach hundreds in networks that take values
      // to 255: without a limit they destroy in a few steps what was pretrained.
      clipNorm: (options.clipNorm ?? (strategy === 'scratch' ? 0 : 1)) || null,
    },
    phases,
    options,
  }
}

/**
 * Learning rate at a step of a phase, from 0: a linear rise, then down along a cosine, by tenths at 60 and 85 %, or not
 * at all.
 */
export function lrAt(
  phase: Pick<PhasePlan, 'lr' | 'epochs' | 'stepsPerEpoch'>,
  options: FinetuneOptions,
  step: number,
): number {
  const total = phase.epochs * phase.stepsPerEpoch
  const rising = Math.min(total, Math.ceil(options.warmup * total))
  if (step < rising) return (phase.lr * (step + 1)) / rising
  const done = (step - rising) / Math.max(1, total - rising)
  if (options.schedule === 'cosine') return phase.lr * 0.5 * (1 + Math.cos(Math.PI * done))
  if (options.schedule === 'step') return phase.lr * (done < 0.6 ? 1 : done < 0.85 ? 0.1 : 0.01)
  return phase.lr
}

/** Factor of a parameter's learning rate: the new layer's own, and smaller towards the pixels. */
export function lrFactors(
  network: HeadedNetwork,
  phase: PhasePlan,
  depthLrFactor: number,
): ReadonlyMap<string, number> {
  const wanted = new Set(phase.trainable)
  const trained = network.parameters.filter(({ name }) => wanted.has(name))
  const places = [...new Set(trained.map(({ place }) => place))].sort((a, b) => a - b)
  return new Map(
    trained.map(({ name, place }) => {
      if (name === headWeight || name === headBias) return [name, phase.headLrFactor]
      const height = places.indexOf(place) / Math.max(1, places.length - 1)
      return [name, depthLrFactor ** (1 - height)]
    }),
  )
}

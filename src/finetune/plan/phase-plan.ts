import { estimateMemory } from './memory.js'
import { type Boundary, type HeadedNetwork, trainedParameters } from './network.js'
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
  /** `cached`: activations at the boundary are computed once, `views` of each image; `none`: every layer trains. */
  readonly frozenLayers: 'cached' | 'computed each epoch' | 'none'
  readonly views: number
  readonly cacheBytes: number
  /**
   * Rows that one run of the training graph may take: frozen layers that are not cached compute all of them at once.
   */
  readonly rowsPerRun: number
  /** Images that go through the frozen layers in all. */
  readonly frozenPasses: number
  readonly memoryBytes: number
}

/** What all phases of a plan are made of. */
export interface PhaseInput {
  readonly network: HeadedNetwork
  readonly roles: Roles
  readonly options: FinetuneOptions
}

/** What is decided of a phase before its sizes are known. */
export interface PhaseSettings extends Pick<PhasePlan, 'name' | 'epochs' | 'lr' | 'headLrFactor' | 'batchNorm'> {
  readonly boundary: Boundary
  /** State tensors that the optimizer keeps for each parameter. */
  readonly optimizerSlots: number
}

/** What frozen layers that are not cached may hold at once. */
const maxFrozenBytes = 512 << 20

const product = (dims: readonly number[]): number => dims.reduce((all, n) => all * n, 1)

/** Views of each image that the budget lets the cache keep, of those that augmentation makes. */
function cachedViews({ roles, options }: PhaseInput, epochs: number, rowBytes: number): number {
  const rows = options.cacheBudgetBytes / rowBytes - roles.select.length
  return Math.max(1, Math.min(options.views, epochs, Math.floor(rows / roles.train.length)))
}

type FrozenPlan = Pick<PhasePlan, 'frozenLayers' | 'views' | 'cacheBytes' | 'rowsPerRun' | 'frozenPasses'>

/** How the layers below the boundary are computed, and the bytes that they hold meanwhile. */
function planFrozenLayers(
  input: PhaseInput,
  { boundary, epochs }: Pick<PhaseSettings, 'boundary' | 'epochs'>,
): FrozenPlan & { readonly frozenBytes: number } {
  const { network, roles, options } = input
  const maxRows = 65_536
  if (boundary.tensor === network.boundaries[0]!.tensor)
    return { frozenLayers: 'none', views: 1, cacheBytes: 0, rowsPerRun: maxRows, frozenPasses: 0, frozenBytes: 0 }
  const rowBytes = 4 * product(boundary.row)
  const views = options.augment ? cachedViews(input, epochs, rowBytes) : 1
  const rows = roles.train.length * views + roles.select.length
  const cacheBytes = rows * rowBytes
  if (options.cache ?? cacheBytes <= options.cacheBudgetBytes)
    return {
      frozenLayers: 'cached',
      views,
      cacheBytes,
      rowsPerRun: maxRows,
      frozenPasses: rows,
      frozenBytes: cacheBytes,
    }
  const below = network.boundaries.filter(({ place }) => place <= boundary.place)
  // While one activation is made of another, a third may be kept for a branch.
  const heldBytes = 3 * 4 * Math.max(...below.map(({ row }) => product(row)))
  const rowsPerRun = Math.max(options.batchSize, Math.floor(maxFrozenBytes / heldBytes))
  return {
    frozenLayers: 'computed each epoch',
    views: 1,
    cacheBytes: 0,
    rowsPerRun,
    frozenPasses: (roles.train.length + roles.select.length) * epochs,
    frozenBytes: rowsPerRun * heldBytes,
  }
}

/** A phase with its sizes. */
export function planPhase(input: PhaseInput, settings: PhaseSettings): PhasePlan {
  const { network, roles, options } = input
  const { name, boundary, epochs, lr, headLrFactor, batchNorm, optimizerSlots } = settings
  const sum = (list: readonly { readonly values: number }[]): number =>
    list.reduce((all, { values }) => all + values, 0)
  const trained = trainedParameters(network, boundary)
  const trainedValues = sum(trained)
  const frozenValues = sum(network.parameters) - trainedValues
  const activations = network.boundaries
    .filter(({ place }) => place >= boundary.place)
    // A boundary stands for the branches below it as well.
    .reduce((all, { row }) => all + 2 * product(row), 0)
  const { frozenBytes, frozenPasses, ...frozen } = planFrozenLayers(input, settings)
  const { batchSize, gradAccumSteps } = options
  const sizes = { trainedValues, frozenValues, activations, optimizerSlots, batchSize, gradAccumSteps, frozenBytes }
  return {
    name,
    boundary: boundary.name,
    boundaryTensor: boundary.tensor,
    trainable: trained.map((parameter) => parameter.name),
    trainedValues,
    frozenValues,
    epochs,
    stepsPerEpoch: Math.ceil(roles.train.length / batchSize),
    lr,
    headLrFactor,
    batchNorm,
    ...frozen,
    frozenPasses,
    memoryBytes: estimateMemory(sizes),
  }
}

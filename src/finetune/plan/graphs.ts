import { createRandom } from '../../base/random.js'
import { valueInfo } from '../../onnx/build.js'
import { withGraph, withModel } from '../../onnx/edit.js'
import type { ModelProto } from '../../onnx/generated/onnx_pb.js'
import { graphOf } from '../../onnx/walk.js'
import { buildTrainingGraph, type TrainingGraph } from '../../training/graph/graph.js'
import { prepareNetwork } from '../../training/network.js'
import { upperModel, wholeModel } from './boundaries.js'
import { heValues } from './headed.js'
import { lrFactors } from './learning-rate.js'
import {
  type Boundary,
  droppedName,
  type HeadedNetwork,
  headBias,
  headWeight,
  logitsName,
  withWeights,
} from './network.js'
import type { FinetunePlan, PhasePlan } from './plan.js'

export interface PhaseGraphs {
  readonly training: TrainingGraph
  /** The data input and every parameter and statistic in, logits out; any number of rows. */
  readonly evaluation: ModelProto
  /** Name of the evaluation graph's data input. */
  readonly input: string
  readonly boundary: Boundary
}

/** The network with fresh weights: He et al. for layers, ones and zeros for norms, zeros for biases. */
export function reinitialised(network: HeadedNetwork, seed: number): HeadedNetwork {
  const random = createRandom(seed).fork('scratch')
  const values = new Map<string, Float32Array>()
  for (const { name, dims, values: count, role } of network.parameters) {
    if (name === headWeight || name === headBias) continue
    // Role norm holds gains and shifts alike; a shift's name is set to 0 below by its place in BatchNormalization.
    values.set(
      name,
      role === 'weight' ? heValues(dims, 2, random.fork(name)) : new Float32Array(count).fill(role === 'norm' ? 1 : 0),
    )
  }
  for (const { opType, input } of graphOf(network.model).node) {
    if (opType !== 'BatchNormalization') continue
    const fill = (i: number, value: number) => {
      const name = input[i]!
      const entry = graphOf(network.model).initializer.find((t) => t.name === name)
      if (entry) values.set(name, new Float32Array(entry.dims.reduce((all, n) => all * Number(n), 1)).fill(value))
    }
    fill(2, 0)
    fill(3, 0)
    fill(4, 1)
  }
  return { ...network, model: withWeights(network.model, values) }
}

/** The network for one phase's data: the part above a cached boundary, or all of it. */
export function phaseModel(network: HeadedNetwork, boundary: Boundary, cached: boolean): ModelProto {
  return cached ? upperModel(network, boundary) : wholeModel(network, boundary)
}

/**
 * Names and membership of the parts whose gradient norms are logged: the head, and quarters of the rest from the pixels
 * up.
 */
export function partsOf(network: HeadedNetwork, phase: PhasePlan): { names: string[]; of(name: string): string } {
  const wanted = new Set(phase.trainable)
  const rest = network.parameters.filter(({ name }) => wanted.has(name) && name !== headWeight && name !== headBias)
  const count = Math.min(4, rest.length)
  const names = Array.from({ length: count }, (_, i) => `part ${i + 1} of ${count}`)
  const part = new Map(rest.map(({ name }, i) => [name, names[Math.floor((i * count) / rest.length)]!]))
  return { names: [...names, 'head'], of: (name) => part.get(name) ?? 'head' }
}

export function evaluationModel(model: ModelProto, training: TrainingGraph): ModelProto {
  const graph = graphOf(model)
  const moving = training.loopState.filter(({ kind }) => kind === 'parameter' || kind === 'statistic')
  const names = new Set(moving.map(({ name }) => name))
  return withModel(model, {
    graph: withGraph(graph, {
      input: [...graph.input, ...moving.map(({ name, dims }) => valueInfo(name, 'float32', dims))],
      initializer: graph.initializer.filter(({ name }) => !names.has(name)),
      valueInfo: [],
    }),
  })
}

/** Weights of the classes so that each counts alike, with mean 1 over the images. */
export function balancedClassWeights(counts: readonly number[]): number[] {
  const total = counts.reduce((a, b) => a + b, 0)
  return counts.map((n) => total / (counts.length * n))
}

/** @throws Fc7Error GRADIENT_MISSING, GRADIENT_UNSUPPORTED naming op and layer, before anything runs */
export function buildPhaseGraphs(
  network: HeadedNetwork,
  plan: FinetunePlan,
  phase: PhasePlan,
  {
    classCounts,
    everyRow = true,
  }: {
    /** Images to train on in each class. */
    readonly classCounts: readonly number[]
    /** Whether a run of the training graph uses each of its rows once, as the epoch loop's do. Default true. */
    readonly everyRow?: boolean | undefined
  },
): PhaseGraphs {
  const boundary = network.boundaries.find(({ tensor }) => tensor === phase.boundaryTensor)!
  const model = phaseModel(network, boundary, phase.frozenLayers === 'cached')
  const { options, optimizer } = plan
  const factors = lrFactors(network, phase, options.depthLrFactor)
  const roles = new Map(network.parameters.map(({ name, role }) => [name, role]))
  const above = new Set(phase.trainable)
  const training = buildTrainingGraph({
    network: prepareNetwork(model, options.batchSize),
    logits: logitsName,
    trainable: phase.trainable,
    loss: {
      kind: plan.loss,
      labelSmoothing: options.labelSmoothing,
      classWeights: options.classWeight === 'balanced' ? balancedClassWeights(classCounts) : undefined,
    },
    optimizer: optimizer.kind === 'sgd' ? { kind: 'sgd', momentum: optimizer.momentum } : { kind: optimizer.kind },
    weightDecay: optimizer.weightDecay,
    decays: (name) => roles.get(name) === 'weight',
    lrFactor: (name) => factors.get(name) ?? 1,
    clipNorm: optimizer.clipNorm ?? undefined,
    gradAccumSteps: options.gradAccumSteps,
    mixup: options.mixup,
    drops: (node) => node.output[0] === droppedName,
    frozenOutside: everyRow && phase.frozenLayers === 'computed each epoch',
    parts: partsOf(network, phase),
    batchStatistics: (node) => phase.batchNorm === 'train' && above.has(node.input[1] ?? ''),
  })
  return { training, evaluation: evaluationModel(model, training), input: graphOf(model).input[0]!.name, boundary }
}

import type { Backbone } from '../../backbones/prepare.js'
import type { Pace } from '../../embeddings/store/runs.js'
import { phaseDefaults } from '../../finetune/plan/defaults.js'
import { defaultViews } from '../../finetune/plan/options.js'
import { selectionShare } from '../../finetune/plan/splits.js'
import { inOrder } from '../../onnx/walk.js'

/** Seconds a strategy is estimated to take on this machine. */
export interface CostRow {
  readonly strategy: 'embeddings' | 'head' | 'last' | 'all'
  readonly seconds: number
  /** What was multiplied, in words. */
  readonly about: string
}

/**
 * What the backward pass and the update cost in forward passes: a step as bench/advisor/step.mjs measures it (two
 * threads, batch 8, every layer trained), less the forward pass in it. Steps of 4.3 for SqueezeNet, 6.4 for GoogLeNet,
 * 7.1 for ResNet-50 (the mean of these stands for others); 10.8 for MobileNetV2, whose depthwise convolutions are dear
 * to differentiate.
 */
const backwardPasses = { ordinary: 4.9, depthwise: 9.8 }

/** Which of the measured factors a network is nearest to. */
export function backwardOverForward({ graph, facts }: Backbone): number {
  const depthwise = inOrder(graph).some((node) => {
    const group = Number(node.attribute.find(({ name }) => name === 'group')?.i ?? 1n)
    const channels = facts.get(node.input[1] ?? '')?.shape?.[0]
    return node.opType === 'Conv' && group > 1 && group === channels
  })
  return depthwise ? backwardPasses.depthwise : backwardPasses.ordinary
}

/** Multiply-adds of one image from each tensor's node on, by node output, in the network's order. */
export function multiplyAdds({ graph, facts }: Backbone): { readonly tensor: string; readonly count: number }[] {
  return inOrder(graph).map((node) => {
    const tensor = node.output[0] ?? ''
    const out = facts.get(tensor)?.shape
    const weights = facts.get(node.input[1] ?? '')?.shape
    const size = (shape: readonly (number | string)[] | undefined): number =>
      (shape ?? []).reduce<number>((product, n) => product * (typeof n === 'number' ? n : 1), 1)
    if (!out || !weights) return { tensor, count: 0 }
    if (node.opType === 'Conv') return { tensor, count: size(out) * size(weights.slice(1)) }
    if (node.opType === 'Gemm' || node.opType === 'MatMul') return { tensor, count: size(weights) }
    return { tensor, count: 0 }
  })
}

/** The part of the network's work that lies above a tensor. */
export function shareAbove(trunk: Backbone, tensor: string): number {
  const steps = multiplyAdds(trunk)
  const total = steps.reduce((sum, { count }) => sum + count, 0)
  const place = steps.findIndex((step) => step.tensor === tensor)
  if (total === 0 || place < 0) return 1
  return steps.slice(place + 1).reduce((sum, { count }) => sum + count, 0) / total
}

/**
 * Seconds for each strategy from what one image's forward pass takes and what starting takes. Embeddings need the trunk
 * once; `head` once a view; `last` the frozen part once a view and the rest forward and backward every epoch, `all`
 * everything every epoch. The part that chooses the epoch goes forward only.
 */
export function estimateCost(input: {
  readonly images: number
  readonly pace: Pace
  /** Share of the network above the place where `last` freezes. */
  readonly trainedShare: number
  /** Default: those of each strategy. */
  readonly epochs?: number | undefined
  /** Of {@link backwardOverForward}; default that of ordinary convolutions. */
  readonly backward?: number | undefined
}): CostRow[] {
  const { images, pace, trainedShare, backward = backwardPasses.ordinary } = input
  const epochsOf = (strategy: 'head' | 'last' | 'all'): number => input.epochs ?? phaseDefaults[strategy][0]!.epochs
  const passes = (count: number): number => pace.start + images * pace.perImage * count
  const chosen = selectionShare
  const epoch = (1 - chosen) * (1 + backward) + chosen
  const frozen = (epochs: number): number => (1 - chosen) * Math.min(defaultViews, epochs) + chosen
  const [head, last, all] = [epochsOf('head'), epochsOf('last'), epochsOf('all')]
  return [
    { strategy: 'embeddings', seconds: passes(1), about: 'one forward pass an image' },
    {
      strategy: 'head',
      seconds: passes(frozen(head)),
      about: `one forward pass for each of ${Math.min(defaultViews, head)} views, then epochs on cached embeddings`,
    },
    {
      strategy: 'last',
      seconds: passes(frozen(last) * (1 - trainedShare) + trainedShare * epoch * last),
      about:
        `the frozen part once for each of ${Math.min(defaultViews, last)} views, ${Math.round(100 * trainedShare)} ` +
        `% of the network forward and backward in ${last} epochs`,
    },
    {
      strategy: 'all',
      seconds: passes(epoch * all),
      about: `the whole network forward and backward in ${all} epochs`,
    },
  ]
}

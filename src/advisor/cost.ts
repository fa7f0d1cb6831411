import type { Trunk } from '../backbones/trunk.js'
import { inOrder } from '../onnx/walk.js'

/** Seconds a strategy is foreseen to take on this machine. */
export interface CostRow {
  readonly strategy: 'embeddings' | 'head' | 'last' | 'all'
  readonly seconds: number
  /** What was multiplied, in words. */
  readonly about: string
}

/**
 * What the backward pass and the update cost in forward passes, as bench/advisor/step.mjs measured them (two threads, batch 8, every layer
 * trained): 4.2 for SqueezeNet, 4.9 for GoogLeNet, 8.3 for ResNet-50 (the mean of these stands for others); 13.7 for MobileNetV2, whose
 * depthwise convolutions are dear to differentiate.
 */
const backwardPasses = { ordinary: 5.8, depthwise: 13.7 }

/** Which of the measured factors a network is nearest to. */
export function backwardOverForward({ graph, facts }: Trunk): number {
  const depthwise = inOrder(graph).some((node) => {
    const group = Number(node.attribute.find(({ name }) => name === 'group')?.i ?? 1n)
    const channels = facts.get(node.input[1] ?? '')?.shape?.[0]
    return node.opType === 'Conv' && group > 1 && group === channels
  })
  return depthwise ? backwardPasses.depthwise : backwardPasses.ordinary
}

/** Multiply-adds of one picture from each tensor's node on, by node output, in the network's order. */
export function multiplyAdds({ graph, facts }: Trunk): { readonly tensor: string; readonly count: number }[] {
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
export function shareAbove(trunk: Trunk, tensor: string): number {
  const steps = multiplyAdds(trunk)
  const total = steps.reduce((sum, { count }) => sum + count, 0)
  const place = steps.findIndex((step) => step.tensor === tensor)
  if (total === 0 || place < 0) return 1
  return steps.slice(place + 1).reduce((sum, { count }) => sum + count, 0) / total
}

/**
 * Seconds for each strategy from the measured time of one picture's forward pass: embeddings and `head` need the frozen trunk once,
 * `last` the frozen part once and the rest forward and backward every epoch, `all` everything every epoch.
 */
export function foreseeCost(input: {
  readonly pictures: number
  readonly secondsPerPicture: number
  /** Share of the network above the place where `last` freezes. */
  readonly trainedShare: number
  readonly epochs: number
  /** Of {@link backwardOverForward}; default that of ordinary convolutions. */
  readonly backward?: number
}): CostRow[] {
  const { pictures, secondsPerPicture, trainedShare, epochs, backward = backwardPasses.ordinary } = input
  const once = pictures * secondsPerPicture
  const step = 1 + backward
  return [
    { strategy: 'embeddings', seconds: once, about: 'one forward pass a picture' },
    { strategy: 'head', seconds: once, about: 'one forward pass a picture, then epochs on cached embeddings' },
    {
      strategy: 'last',
      seconds: once * (1 - trainedShare) + once * trainedShare * step * epochs,
      about: `the frozen part once, ${Math.round(100 * trainedShare)} % of the network forward and backward in ${epochs} epochs`,
    },
    {
      strategy: 'all',
      seconds: once * step * epochs,
      about: `the whole network forward and backward in ${epochs} epochs`,
    },
  ]
}

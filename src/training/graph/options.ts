import type { NodeProto } from '../../onnx/generated/onnx_pb.js'
import type { Network } from '../network.js'
import type { OptimizerOptions } from '../optimizers/contract.js'
import type { NormParts } from './gradient-norms.js'
import type { Loss } from './losses.js'

export interface TrainingGraphOptions {
  readonly network: Network
  /** Tensor of the network with the scores before softmax or sigmoid, `[B, C]`. */
  readonly logits: string
  /** Initializers that are trained; all others stay as they are. */
  readonly trainable: readonly string[]
  readonly loss: Loss
  readonly optimizer: OptimizerOptions
  /** Default 0. */
  readonly weightDecay?: number | undefined
  /**
   * Whether weight decay takes hold of a parameter. Default: of those with two or more axes, so biases and norms are
   * spared.
   */
  readonly decays?: ((name: string, dims: readonly number[]) => boolean) | undefined
  /** Factor of a parameter's learning rate (smaller near the input). Default 1. */
  readonly lrFactor?: ((name: string) => number) | undefined
  /** Largest norm of the whole gradient, as `torch.nn.utils.clip_grad_norm_`. Default: no limit. */
  readonly clipNorm?: number | undefined
  /** Whether the gradient's norm is reported at every step, which costs a pass over all gradients. Default true. */
  readonly norm?: boolean | undefined
  /** Which BatchNormalization nodes use and update their batch's statistics. Default: none. */
  readonly batchStatistics?: ((node: NodeProto) => boolean) | undefined
  /** Which Dropout nodes drop although no gradient passes them. Default: none. */
  readonly drops?: ((node: NodeProto) => boolean) | undefined
  /**
   * Mixup (Zhang et al. 2018) with this α: each row is mixed with a partner of its batch by shares from Beta(α, α), and
   * so are their labels. Mixed is what enters the loop: the network's input, or what `frozenOutside` computed before it
   * (Verma et al. 2019). Default 0: none.
   */
  readonly mixup?: number | undefined
  /**
   * Steps whose gradients are averaged before the parameters move, for batches that memory does not hold. Default 1.
   */
  readonly gradAccumSteps?: number | undefined
  /**
   * Computes what no gradient passes once a run, for all rows at once, before the loop: its weights are constants
   * there, which the runtime lays out for speed. For runs that use every row, with memory for them. Default false: in
   * the loop, a batch at a time.
   */
  readonly frozenOutside?: boolean | undefined
  /** Parameters with as many values are moved a piece at a time. Default: `chunkFrom` of chunks.ts. */
  readonly chunkFrom?: number | undefined
  /** Default: none. */
  readonly parts?: NormParts | undefined
}

// Measured as peaks of a process by bench/finetune/memory.mjs.
/** Node, its threads for decoding and training, onnxruntime. */
const baseBytes = 300 << 20
/** Activations that the backward pass keeps, over those of the forward pass. */
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

/** What takes memory while a phase trains, in values of float32 unless said otherwise. */
export interface PhaseSizes {
  readonly trainedValues: number
  readonly frozenValues: number
  /** Of one image, above the boundary. */
  readonly activations: number
  /** State tensors that the optimizer keeps for each parameter. */
  readonly optimizerSlots: number
  readonly batchSize: number
  readonly gradAccumSteps: number
  /** What the frozen layers hold: cached activations, or those of the rows of one run. */
  readonly frozenBytes: number
}

/** Estimated bytes while a phase trains: parameters in and out with state and gradient, activations, what is cached. */
export function estimateMemory(sizes: PhaseSizes): number {
  const { trainedValues, frozenValues, activations, optimizerSlots, batchSize, gradAccumSteps, frozenBytes } = sizes
  const perWeight = stateCopies * (1 + optimizerSlots) + weightCopies + (gradAccumSteps > 1 ? stateCopies : 0)
  return Math.round(
    4 * (trainedValues * perWeight + frozenCopies * frozenValues) +
      4 * activations * batchSize * backwardFactor +
      frozenBytes +
      baseBytes,
  )
}

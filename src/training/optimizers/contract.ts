import type { GraphBuilder } from '../../onnx/build.js'

/** One parameter at one step. All names are float32 tensors of the parameter's shape unless said otherwise. */
export interface OptimizerStep {
  readonly parameter: string
  readonly gradient: string
  /** One tensor per slot of the optimizer, zeros at the start of training. */
  readonly state: readonly string[]
  /**
   * float32, one value with as many axes as the parameter ({@link OptimizerStep.number}): its learning rate at this
   * step.
   */
  readonly lr: string
  /** int64 scalar: number of this step, from 1. */
  readonly step: string
  /** Weight decay of this parameter; 0 for biases and norms. */
  readonly decay: number
  /**
   * A constant with as many axes as the parameter. onnxruntime multiplies `[2048, 512, 1, 1]` by a value without axes
   * element by element, seventy times slower than by one of shape `[1, 1, 1, 1]`.
   */
  number(value: number): string
}

export interface OptimizerResult {
  readonly parameter: string
  readonly state: readonly string[]
}

/** How parameters move. Written into the training graph once per parameter. */
export interface Optimizer {
  readonly id: string
  /** Names of the state tensors that each parameter carries. */
  readonly slots: readonly string[]
  /** Nodes that all parameters of a step share; returns what {@link step} needs of them. */
  shared?(g: GraphBuilder, step: string): readonly string[]
  step(g: GraphBuilder, at: OptimizerStep, shared: readonly string[]): OptimizerResult
}

export interface SgdOptions {
  readonly kind: 'sgd'
  /** Default 0.9. */
  readonly momentum?: number | undefined
  /** Default true where there is momentum. */
  readonly nesterov?: boolean | undefined
}

export interface AdamOptions {
  /** `adam` adds the decay to the gradient (L2); `adamw` shrinks the weights beside the step (decoupled). */
  readonly kind: 'adam' | 'adamw'
  /** Default 0.9 and 0.999. */
  readonly betas?: readonly [number, number] | undefined
  /** Default 1e-8. */
  readonly epsilon?: number | undefined
}

export type OptimizerOptions = SgdOptions | AdamOptions

import { type GraphBuilder, node } from '../../onnx/build.js'
import { reshape } from '../gradients/arithmetic.js'
import type { Optimizer } from '../optimizers/contract.js'
import { createOptimizer } from '../optimizers/registry.js'
import { chunkCount, chunkFrom, stepInChunks } from './chunks.js'
import type { LoopState } from './loop-state.js'
import type { TrainingGraphOptions } from './options.js'
import type { StepInputs } from './step-inputs.js'

export interface Parameter {
  readonly name: string
  readonly dims: readonly number[]
  /** Before the first step. */
  readonly values: Float32Array
}

type UpdateOptions = Pick<
  TrainingGraphOptions,
  'optimizer' | 'weightDecay' | 'decays' | 'lrFactor' | 'gradAccumSteps' | 'chunkFrom'
>

/** One parameter in the loop: its tensors there, and what its optimizer step depends on. */
interface MovingParameter {
  readonly parameter: Parameter
  readonly gradient: string
  /** Its own name in the loop, and that of each slot of the optimizer. */
  readonly own: string
  readonly state: readonly string[]
  readonly lr: string
  readonly decay: number
}

/** The end of a training step: gradients are averaged, limited, and move the parameters. */
export class ParameterUpdates {
  readonly #body: GraphBuilder
  readonly #loop: LoopState
  readonly #step: StepInputs
  readonly #options: UpdateOptions
  readonly #optimizer: Optimizer

  constructor(body: GraphBuilder, loop: LoopState, step: StepInputs, options: UpdateOptions) {
    this.#body = body
    this.#loop = loop
    this.#step = step
    this.#options = options
    this.#optimizer = createOptimizer(options.optimizer)
  }

  /**
   * The gradients that the parameters move by: those of the step, or the means of `gradAccumSteps` steps, which are
   * kept in the loop until then.
   */
  averaged(parameters: readonly Parameter[], gradients: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
    const { moves } = this.#step
    if (moves === undefined) return gradients
    const body = this.#body
    const share = 1 / (this.#options.gradAccumSteps ?? 1)
    const means = new Map(gradients)
    for (const { name, dims, values } of parameters) {
      const zeros = new Float32Array(values.length)
      const before = this.#loop.add({ name: `sum:${name}`, kind: 'gradient', dims, values: zeros })
      const part = body.add('Mul', [gradients.get(name)!, this.#number(share, dims)])
      const sum = body.add('Add', [before, part])
      means.set(name, sum)
      this.#loop.finish(body.add('Where', [this.#scalar(moves, dims), this.#number(0, dims), sum]), dims)
    }
    return means
  }

  /** @param scale factor of all gradients, a scalar; undefined for none */
  move(parameters: readonly Parameter[], gradients: ReadonlyMap<string, string>, scale: string | undefined): void {
    const shared = this.#optimizer.shared?.(this.#body, this.#step.number) ?? []
    for (const parameter of parameters) this.#moveOne(parameter, gradients.get(parameter.name)!, scale, shared)
  }

  #moveOne(parameter: Parameter, gradient: string, scale: string | undefined, shared: readonly string[]): void {
    const { name, dims, values } = parameter
    const { moves, lr } = this.#step
    const { lrFactor, decays = (_name, shape) => shape.length > 1, weightDecay = 0 } = this.#options
    const rows = moves ? undefined : chunkCount(values.length, this.#options.chunkFrom ?? chunkFrom)
    const own = this.#loop.add({ name, kind: 'parameter', dims, values, rows })
    const state = this.#optimizer.slots.map((slot) =>
      this.#loop.add({ name: `${slot}:${name}`, kind: 'state', dims, values: new Float32Array(values.length), rows }),
    )
    const factor = lrFactor?.(name) ?? 1
    const moving: MovingParameter = {
      parameter,
      gradient,
      own,
      state,
      lr: factor === 1 ? lr : this.#body.add('Mul', [lr, this.#body.floats(factor)]),
      decay: decays(name, dims) ? weightDecay : 0,
    }
    if (rows === undefined) this.#moveWhole(moving, scale, shared)
    else this.#moveInChunks(moving, rows, scale, shared)
  }

  #moveWhole(
    { parameter, gradient, state, lr, decay }: MovingParameter,
    scale: string | undefined,
    shared: readonly string[],
  ): void {
    const body = this.#body
    const { dims, name } = parameter
    const { moves, number: step } = this.#step
    const moved = this.#optimizer.step(
      body,
      {
        parameter: name,
        gradient: scale ? body.add('Mul', [gradient, this.#scalar(scale, dims)]) : gradient,
        state,
        lr: this.#scalar(lr, dims),
        step,
        decay,
        number: (value) => this.#number(value, dims),
      },
      shared,
    )
    const next = (now: string, before: string): string =>
      moves ? body.add('Where', [this.#scalar(moves, dims), now, before]) : now
    this.#loop.finish(next(moved.parameter, name), dims)
    moved.state.forEach((tensor, i) => {
      this.#loop.finish(next(tensor, state[i]!), dims)
    })
  }

  #moveInChunks(
    { parameter, gradient, own, state, lr, decay }: MovingParameter,
    rows: number,
    scale: string | undefined,
    shared: readonly string[],
  ): void {
    const { name, dims, values } = parameter
    // The forward pass reads the parameter in its own shape.
    this.#body.nodes.unshift(node('Reshape', [own, this.#body.ints(dims)], [name]))
    const shape = [rows, values.length / rows] as const
    const at = { parameter: own, gradient, state, shape, lr, scale, step: this.#step.number, decay }
    const moved = stepInChunks(this.#body, this.#optimizer, at, shared)
    for (const tensor of [moved.parameter, ...moved.state]) this.#loop.finish(tensor, shape)
  }

  /** See OptimizerStep.number. */
  #number(value: number, dims: readonly number[]): string {
    return this.#body.floats(
      value,
      dims.map(() => 1),
    )
  }

  /** A scalar with as many axes as the parameter, for the same reason. */
  #scalar(scalar: string, dims: readonly number[]): string {
    return reshape(
      this.#body,
      scalar,
      dims.map(() => 1),
    )
  }
}

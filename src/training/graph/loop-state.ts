import type { GraphBuilder } from '../../onnx/build.js'
import { reshape } from '../gradients/arithmetic.js'

/** A variable of the loop's state: a parameter, a running statistic or a slot of the optimizer. */
export interface LoopVariable {
  /**
   * Name of the initializer in the network, `<slot>:<initializer>`, or `sum:<initializer>` for a gradient that
   * accumulates.
   */
  readonly name: string
  readonly kind: 'parameter' | 'statistic' | 'state' | 'gradient'
  readonly dims: readonly number[]
  /** Graph input that takes the value before the first step, and output that has it after the last. */
  readonly input: string
  readonly output: string
}

/** A loop variable before the first step. */
export interface InitialVariable extends Pick<LoopVariable, 'name' | 'kind' | 'dims'> {
  readonly values: Float32Array
  /** Within the loop it has that many rows; outside it has its own shape. Default: its own shape in both. */
  readonly rows?: number | undefined
}

/**
 * The state of a training graph's loop: what enters it, goes from step to step and leaves it, written into the loop's
 * body and the graph around it.
 */
export class LoopState {
  readonly variables: LoopVariable[] = []
  /** Values before the first step, by name of the variable. */
  readonly initial = new Map<string, Float32Array>()
  readonly #results: string[] = []
  readonly #entering: string[] = []
  readonly #leaving: string[] = []

  readonly #body: GraphBuilder
  readonly #outer: GraphBuilder

  constructor(body: GraphBuilder, outer: GraphBuilder) {
    this.#body = body
    this.#outer = outer
  }

  /** Adds a variable and returns its name in the body. Each needs one {@link finish}, in the same order. */
  add({ name, kind, dims, values, rows }: InitialVariable): string {
    const [input, output] = [`in:${name}`, `out:${name}`]
    this.variables.push({ name, kind, dims, input, output })
    this.initial.set(name, values)
    this.#outer.input(input, 'float32', dims)
    const shape = rows === undefined ? dims : [rows, values.length / rows]
    this.#entering.push(rows === undefined ? input : reshape(this.#outer, input, shape))
    this.#leaving.push(rows === undefined ? output : `rows:${output}`)
    return this.#body.input(rows === undefined ? name : `rows:${name}`, 'float32', shape)
  }

  /**
   * Makes a tensor of the body the next of its outputs: the new value of a variable, or after those a result of the
   * step.
   */
  finish(tensor: string, dims: readonly number[]): void {
    // A copy only where the tensor cannot be an output itself: it costs a pass over all parameters at every step.
    const own = !this.#results.includes(tensor) && this.#body.nodes.some(({ output }) => output.includes(tensor))
    this.#results.push(own ? tensor : this.#body.add('Identity', [tensor]))
    this.#body.output(this.#results.at(-1)!, 'float32', dims)
  }

  /** Writes the loop of `count` steps; `scanned` names the results of each step, which follow the variables. */
  close(count: string, scanned: readonly string[]): void {
    const outer = this.#outer
    const leaving = this.#leaving
    const outputs = [...leaving, ...scanned]
    outer.addMany('Loop', [count, '', ...this.#entering], { body: { graph: this.#body.graph() } }, { outputs })
    this.variables.forEach(({ output, dims }, i) => {
      if (leaving[i] !== output) outer.add('Reshape', [leaving[i]!, outer.ints(dims)], {}, { outputs: [output] })
      outer.output(output, 'float32', dims)
    })
  }
}

import { Fc7Error } from '../../base/errors.js'
import type { GraphBuilder } from '../../onnx/build.js'
import { TensorProto_DataType as DataType, type NodeProto } from '../../onnx/generated/onnx_pb.js'
import { floatsOf, intsOf } from '../../onnx/values.js'
import { addAll } from '../gradients/arithmetic.js'
import { Attributes } from '../gradients/attributes.js'
import type { BackwardContext, ForwardContext, RuleContext } from '../gradients/contract.js'
import { gradientRules } from '../gradients/registry.js'
import type { Network } from '../network.js'

/** A dropout mask that the training graph takes as an input. */
export interface MaskSpec {
  /** Graph input, uint8 with 1 where the activation is kept. */
  readonly name: string
  /** Shape for one batch. */
  readonly shape: readonly number[]
  /** Probability of 0. */
  readonly rate: number
}

export interface DifferentiateOptions {
  /** Initializers that gradients are wanted for. */
  readonly wanted: ReadonlySet<string>
  /** Which BatchNormalization nodes use their batch's statistics. Default: none. */
  readonly batchStatistics?: ((node: NodeProto) => boolean) | undefined
  /** Gives the float32 mask tensor of a Dropout. Default: dropout passes everything. */
  readonly mask?: ((spec: Omit<MaskSpec, 'name'>, node: NodeProto) => string) | undefined
  /**
   * Which Dropout nodes drop although no gradient passes them, such as one between a frozen network and its new head.
   * Default: none.
   */
  readonly drops?: ((node: NodeProto) => boolean) | undefined
}

/** The two passes over a network, written into one builder. */
export class Differentiation {
  /** New values of states such as running means, by initializer. */
  readonly updates = new Map<string, string>()
  readonly #reached: Set<string>
  readonly #saved = new Map<NodeProto, Map<string, string>>()

  /**
   * @throws Fc7Error GRADIENT_MISSING when gradients would have to pass an op without a rule: before anything is built
   */
  readonly #g: GraphBuilder
  readonly #network: Network
  readonly #options: DifferentiateOptions

  constructor(g: GraphBuilder, network: Network, options: DifferentiateOptions) {
    this.#g = g
    this.#network = network
    this.#options = options

    this.#reached = new Set(options.wanted)
    for (const node of network.nodes) {
      if (!node.input.some((name) => this.#reached.has(name))) continue
      for (const name of node.output) this.#reached.add(name)
      if (!ruleOf(node)) {
        throw new Fc7Error(
          'GRADIENT_MISSING',
          `fc7 has no gradient for the op ${node.domain ? `${node.domain}.` : ''}${node.opType} ` +
            `(layer ${node.output[0]}).`,
          { hint: 'Freeze the network beyond this layer (--freeze-until), or train only its head.' },
        )
      }
    }
  }

  #context(node: NodeProto): RuleContext {
    const g = this.#g
    const network = this.#network
    const reached = this.#reached
    const options = this.#options
    const saved = this.#saved.get(node) ?? new Map<string, string>()
    this.#saved.set(node, saved)
    return {
      g,
      node,
      saved,
      attributes: new Attributes(node),
      shape: (tensor) => {
        const shape = network.shapes.get(tensor)
        if (shape) return shape
        throw new Fc7Error(
          'TRAIN_SHAPE',
          `The shape of ${tensor} (layer ${node.output[0]}) cannot be known beforehand.`,
          {
            hint: 'Freeze the network beyond this layer (--freeze-until).',
          },
        )
      },
      wanted: (input) => reached.has(node.input[input] ?? ''),
      constant: (input) => {
        const tensor = network.initializers.get(node.input[input] ?? '')
        if (!tensor) return undefined
        return tensor.dataType === DataType.FLOAT ? Array.from(floatsOf(tensor)) : intsOf(tensor)
      },
      batchStatistics: node.opType === 'BatchNormalization' && (options.batchStatistics?.(node) ?? false),
    }
  }

  /**
   * Whether a node is another in training than in inference: a gradient passes it, it updates statistics, or it drops
   * values.
   */
  stays(node: NodeProto): boolean {
    return (
      node.output.some((name) => this.#reached.has(name)) ||
      this.#context(node).batchStatistics ||
      (node.opType === 'Dropout' && (this.#options.drops?.(node) ?? false))
    )
  }

  /**
   * Writes the forward pass, in the form that training needs where gradients pass; `except` what is computed elsewhere.
   */
  forward(except: ReadonlySet<NodeProto> = new Set()): void {
    for (const node of this.#network.nodes) {
      if (except.has(node)) continue
      const rule = ruleOf(node)
      const context = this.#context(node)
      if (!rule?.forward || !this.stays(node)) {
        this.#g.nodes.push(node)
        continue
      }
      const forward: ForwardContext = {
        ...context,
        mask: (shape, rate) => {
          if (this.#options.mask) return this.#options.mask({ shape, rate }, node)
          throw new Fc7Error('TRAIN_MASK', `Dropout at ${node.output[0]} has no mask.`)
        },
        update: (initializer, tensor) => void this.updates.set(initializer, tensor),
      }
      rule.forward(forward)
    }
  }

  /**
   * Writes the backward pass from gradients at some tensors; returns the gradient of every wanted initializer it
   * reached.
   */
  backward(seeds: ReadonlyMap<string, string>): Map<string, string> {
    const parts = new Map<string, string[]>()
    for (const [tensor, gradient] of seeds) parts.set(tensor, [gradient])
    const total = (tensor: string): string | undefined => {
      const list = parts.get(tensor)
      if (!list) return undefined
      if (list.length > 1) list.splice(0, list.length, addAll(this.#g, list))
      return list[0]
    }
    for (const node of [...this.#network.nodes].reverse()) {
      if (!node.output.some((name) => this.#reached.has(name) && parts.has(name))) continue
      const first = total(node.output[0]!)
      const context: BackwardContext = {
        ...this.#context(node),
        dy: first ?? '',
        gradient: (output) => total(node.output[output]!),
      }
      const gradients = ruleOf(node)!.backward(context)
      gradients.forEach((gradient, i) => {
        const name = node.input[i]
        if (gradient === undefined || !name || !this.#reached.has(name)) return
        const list = parts.get(name)
        if (list) list.push(gradient)
        else parts.set(name, [gradient])
      })
    }
    const result = new Map<string, string>()
    for (const name of this.#options.wanted) {
      const gradient = total(name)
      if (gradient) result.set(name, gradient)
    }
    return result
  }
}

function ruleOf(node: NodeProto) {
  return node.domain === '' || node.domain === 'ai.onnx' ? gradientRules.get(node.opType) : undefined
}

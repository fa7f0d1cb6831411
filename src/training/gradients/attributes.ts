import type { NodeProto } from '../../onnx/generated/onnx_pb.js'
import { attributeOf, floatAttribute, intAttribute, intsAttribute, textAttribute } from '../../onnx/values.js'

/** A node's attributes with their defaults, bound to the node so that rules read shortly. */
export class Attributes {
  readonly #node: NodeProto

  constructor(node: NodeProto) {
    this.#node = node
  }

  has(name: string): boolean {
    return attributeOf(this.#node, name) !== undefined
  }

  int(name: string, fallback: number): number {
    return intAttribute(this.#node, name, fallback)
  }

  float(name: string, fallback: number): number {
    return floatAttribute(this.#node, name, fallback)
  }

  ints(name: string): number[] | undefined {
    return intsAttribute(this.#node, name)
  }

  string(name: string, fallback: string): string {
    return textAttribute(this.#node, name, fallback)
  }
}

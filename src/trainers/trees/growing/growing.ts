import type { TreeNodes } from './arrays.js'

/**
 * Typed arrays of nodes that grow by doubling. With several outputs, leaves that are all of one class share a row of
 * values: row c is that of class c, see {@link TreeNodes}.
 */
export class NodeList {
  #feature = new Int32Array(64)
  #threshold = new Float32Array(64)
  #left = new Int32Array(64)
  #right = new Int32Array(64)
  #leaf = new Int32Array(64)
  #values = new Float32Array(64)
  #nodes = 0
  #used = 0
  readonly #shared: number

  readonly #outputs: number

  constructor(outputs: number) {
    this.#outputs = outputs

    this.#shared = outputs > 1 ? outputs : 0
  }

  get length(): number {
    return this.#nodes
  }

  /** A new node, a leaf without values for now. */
  add(): number {
    if (this.#nodes === this.#feature.length) {
      const grow = <T extends Int32Array | Float32Array>(old: T): T => {
        const next = new (old.constructor as new (n: number) => T)(old.length * 2)
        next.set(old)
        return next
      }
      this.#feature = grow(this.#feature)
      this.#threshold = grow(this.#threshold)
      this.#left = grow(this.#left)
      this.#right = grow(this.#right)
      this.#leaf = grow(this.#leaf)
    }
    const node = this.#nodes++
    this.#feature[node] = -1
    this.#left[node] = -1
    this.#right[node] = -1
    this.#leaf[node] = -1
    return node
  }

  split(node: number, feature: number, threshold: number): { left: number; right: number } {
    this.#feature[node] = feature
    this.#threshold[node] = threshold
    const left = this.add()
    const right = this.add()
    this.#left[node] = left
    this.#right[node] = right
    return { left, right }
  }

  /** Makes a leaf of one class. */
  fillPure(node: number, c: number): void {
    this.#leaf[node] = c
  }

  /** Gives a leaf its values: `factor` times them. */
  fill(node: number, values: ArrayLike<number>, factor = 1): void {
    if ((this.#used + 1) * this.#outputs > this.#values.length) {
      const next = new Float32Array(Math.max(this.#values.length * 2, (this.#used + 1) * this.#outputs))
      next.set(this.#values)
      this.#values = next
    }
    for (let c = 0; c < this.#outputs; c++) this.#values[this.#used * this.#outputs + c] = values[c]! * factor
    this.#leaf[node] = this.#shared + this.#used++
  }

  finish(): TreeNodes {
    return {
      feature: this.#feature.slice(0, this.#nodes),
      threshold: this.#threshold.slice(0, this.#nodes),
      left: this.#left.slice(0, this.#nodes),
      right: this.#right.slice(0, this.#nodes),
      leaf: this.#leaf.slice(0, this.#nodes),
      values: this.#values.slice(0, this.#used * this.#outputs),
    }
  }
}

/**
 * The float32 halfway between the largest value that goes left and the smallest that goes right, as scikit-learn sets
 * it; the lower one where nothing lies between.
 */
export function between(low: number, high: number): number {
  const middle = Math.fround(low / 2 + high / 2)
  return middle >= low && middle < high ? middle : low
}

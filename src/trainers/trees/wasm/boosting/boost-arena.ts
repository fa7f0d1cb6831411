import { kernelOf, Layout } from '../memory.js'
import { at } from '../sorting.js'
import { type BoostKernel, boostAt, boostModule } from './boost-kernel.js'

/** Behind a list's end stands any number of two bytes, and what it points to is read: that must be memory. */
const spareBytes = 2 ** 16 * 16

const boostKernel = kernelOf<BoostKernel>(boostModule)

/**
 * The kernel and the memory it works on, for lists of at most `places` places. Space is taken from its beginning on.
 */
export class BoostArena {
  readonly kernel: BoostKernel
  readonly #layout = new Layout(boostAt.arrays)
  readonly #memory = this.#layout.memory()
  #views = this.#look()
  /** Where the sides of places are, 0 or 2. */
  readonly sides: number

  constructor(places: number) {
    this.kernel = boostKernel(this.#memory)
    const entries = places * 4 + 32
    for (const field of [at.entries, at.sorted, at.before]) this.setWord(field, this.take(entries))
    this.sides = this.take(places)
    this.setWord(boostAt.sides, this.sides)
    this.setWord(boostAt.scratch, this.take(places * 2))
  }

  #look() {
    const { buffer } = this.#memory
    return { bytes: new Uint8Array(buffer), words: new Int32Array(buffer), doubles: new Float64Array(buffer) }
  }

  get bytes(): Uint8Array {
    return this.#views.bytes
  }

  get words(): Int32Array {
    return this.#views.words
  }

  get doubles(): Float64Array {
    return this.#views.doubles
  }

  setWord(address: number, value: number): void {
    this.#views.words[address >> 2] = value
  }

  setDouble(address: number, value: number): void {
    this.#views.doubles[address >> 3] = value
  }

  /** How much is taken: everything taken later is given back by {@link giveBack}. */
  get taken(): number {
    return this.#layout.end
  }

  giveBack(taken: number): void {
    this.#layout.end = taken
  }

  /** The address of so many bytes, which hold anything. Views looked at before are of no use any more. */
  take(bytes: number): number {
    const address = this.#layout.take(bytes)
    const missing = this.#layout.end + spareBytes - this.#views.bytes.length
    if (missing > 0) {
      this.#memory.grow(Math.ceil(missing / 2 ** 16))
      this.#views = this.#look()
    }
    return address
  }
}

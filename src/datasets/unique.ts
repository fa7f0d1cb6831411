/**
 * Remembers which texts it has seen by 53 bits of hash in one typed array, 8–27 bytes a text: a list of a million ids
 * must not cost a million strings. Two different texts are taken for the same once in about 18,000 lists of a million,
 * which only makes an id longer than it need be.
 */
export class SeenTexts {
  #table = new Float64Array(1 << 12)
  #count = 0

  /** True if the text was added before; adds it. */
  has(text: string): boolean {
    if ((this.#count + 1) * 4 > this.#table.length * 3) this.#grow()
    return !this.#insert(hash53(text))
  }

  #insert(key: number): boolean {
    const mask = this.#table.length - 1
    let slot = (key % 4294967296) & mask
    while (this.#table[slot] !== 0) {
      if (this.#table[slot] === key) return false
      slot = (slot + 1) & mask
    }
    this.#table[slot] = key
    this.#count++
    return true
  }

  #grow(): void {
    const old = this.#table
    this.#table = new Float64Array(old.length * 2)
    this.#count = 0
    for (const key of old) if (key !== 0) this.#insert(key)
  }
}

/** cyrb53's mixing: two 32-bit streams joined to 53 bits; never 0. */
function hash53(text: string): number {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    a = Math.imul(a ^ c, 2654435761)
    b = Math.imul(b ^ c, 1597334677)
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909)
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909)
  return 4294967296 * (2097151 & b) + (a >>> 0) || 1
}

/** A seeded stream of random numbers. The same seed gives the same stream on every machine. */
export interface Random {
  /** Uniform in [0, 1), 53 bits. */
  next(): number
  /** Fills an array with uniform whole numbers below 2³²: much the cheapest draw. */
  words(target: Uint32Array): void
  /** Uniform integer in [0, n). */
  int(n: number): number
  /** Standard normal. */
  normal(): number
  /** A shuffled copy (Fisher–Yates). */
  shuffled<T>(items: readonly T[]): T[]
  /** Shuffles in place. */
  shuffle(items: { [index: number]: unknown; length: number }): void
  /**
   * An independent stream, a pure function of this stream's seed and the name: drawing from one never moves another.
   */
  fork(name: string | number): Random
}

/** 32-bit FNV-1a with a final avalanche, for turning names into seed words. */
function hashText(text: string, start: number): number {
  let h = start >>> 0
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** A generator for `seed` (a whole number or a text): sfc32, seeded through FNV-1a. */
export function createRandom(seed: number | string): Random {
  const key = String(seed)
  let a = hashText(key, 0x811c9dc5)
  let b = hashText(key, 0x9e3779b9)
  let c = hashText(key, 0x243f6a88)
  let d = 1
  const word = (): number => {
    const t = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + t
    c |= 0
    return t >>> 0
  }
  for (let i = 0; i < 12; i++) word()

  let spare: number | undefined
  const random: Random = {
    words(target) {
      // In locals: about five times faster than so many calls of word().
      let [p, q, r, s] = [a, b, c, d]
      for (let k = 0; k < target.length; k++) {
        const t = (((p + q) | 0) + s) | 0
        s = (s + 1) | 0
        p = q ^ (q >>> 9)
        q = (r + (r << 3)) | 0
        r = ((r << 21) | (r >>> 11)) + t
        r |= 0
        target[k] = t
      }
      ;[a, b, c, d] = [p, q, r, s]
    },
    next: () => ((word() >>> 5) * 67108864 + (word() >>> 6)) / 9007199254740992,
    int: (n) => Math.floor(random.next() * n),
    normal() {
      if (spare !== undefined) {
        const value = spare
        spare = undefined
        return value
      }
      // Marsaglia's polar method.
      let u: number
      let v: number
      let s: number
      do {
        u = 2 * random.next() - 1
        v = 2 * random.next() - 1
        s = u * u + v * v
      } while (s >= 1 || s === 0)
      const scale = Math.sqrt((-2 * Math.log(s)) / s)
      spare = v * scale
      return u * scale
    },
    shuffled(items) {
      const copy = [...items]
      random.shuffle(copy)
      return copy
    },
    shuffle(items) {
      for (let i = items.length - 1; i > 0; i--) {
        const j = random.int(i + 1)
        const held = items[i]
        items[i] = items[j]
        items[j] = held
      }
    },
    fork: (name) => createRandom(`${key}/${name}`),
  }
  return random
}

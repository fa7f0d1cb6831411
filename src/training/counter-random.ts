/**
 * Random numbers without a state: each is a pure function of (seed, epoch, step, image, lane) and its place, so that a
 * run resumed in the middle, or spread over processes, draws the same ones. The mixing is MurmurHash3's finaliser.
 */
export interface Counter {
  readonly seed: number
  readonly epoch: number
  readonly step: number
  readonly image: number
  /** Which use of randomness: one for each dropout layer, one for each kind of augmentation. */
  readonly lane: number
}

function mix(word: number): number {
  let h = word
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return h ^ (h >>> 16)
}

function fold(key: number, word: number): number {
  return mix((Math.imul(key, 0x9e3779b1) + word + 0x7f4a7c15) | 0)
}

/** The 32-bit key of a stream. */
export function counterKey({ seed, epoch, step, image, lane }: Counter): number {
  const high = Math.floor(seed / 2 ** 32) | 0
  return [seed | 0, high, epoch, step, image, lane].reduce((key, word) => fold(key, word | 0), 0x243f6a88)
}

/** Uniform in [0, 1), 32 bits: number `place` of the stream. */
export function counterUniform(key: number, place: number): number {
  return (mix((key + Math.imul(place + 1, 0x9e3779b9)) | 0) >>> 0) / 4294967296
}

/** Fills `target` with 1, or 0 with probability `rate`. */
export function fillMask(target: Uint8Array, rate: number, key: number): void {
  const limit = rate * 4294967296
  for (let i = 0; i < target.length; i++) {
    target[i] = mix((key + Math.imul(i + 1, 0x9e3779b9)) | 0) >>> 0 >= limit ? 1 : 0
  }
}

/**
 * A draw from the Beta(α, α) distribution by Jöhnk's method, in logarithms so that small α do not underflow. The
 * stream's numbers are taken in order from `place`.
 *
 * @returns the value, and the first place that was not used
 */
export function counterBeta(key: number, alpha: number, place = 0): { readonly value: number; readonly next: number } {
  for (let at = place; ; at += 2) {
    // Half a step up: log 0 never comes.
    const [x, y] = [0, 1].map((i) => Math.log(counterUniform(key, at + i) + 2 ** -33) / alpha) as [number, number]
    if (Math.exp(x) + Math.exp(y) <= 1) return { value: 1 / (1 + Math.exp(y - x)), next: at + 2 }
  }
}

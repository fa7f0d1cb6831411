import type { Matrix } from '../../trainers/contract.js'
import { gemm, rowsOf } from '../../trainers/linalg/gemm.js'

/** When two images are called near-duplicates; every report shows these. */
export interface DuplicateRule {
  /** Cosine of the two embeddings at which they count whatever the images' hashes say. */
  readonly cosine: number
  /** Cosine that is enough when the hashes are close. */
  readonly cosineWithHash: number
  /** Bits of 64 in which two dHashes may differ to be close. */
  readonly hashBits: number
  /** Above this many images embeddings are not compared all with all; close hashes still are. */
  readonly maxCompared: number
}

export const defaultDuplicateRule: DuplicateRule = {
  cosine: 0.995,
  cosineWithHash: 0.9,
  hashBits: 4,
  maxCompared: 30_000,
}

export interface FoundPair {
  /** Item numbers, `a` < `b`. */
  readonly a: number
  readonly b: number
  readonly cosine: number
  /** Bits that differ; null where an image has no hash. */
  readonly distance: number | null
}

export const describeRule = (rule: DuplicateRule, hashes: boolean): string =>
  hashes
    ? `cosine of the embeddings at least ${rule.cosine}, or at least ${rule.cosineWithHash} with dHashes that ` +
      `differ in at most ${rule.hashBits} of 64 bits`
    : `cosine of the embeddings at least ${rule.cosine} (no dHashes stored)`

/** 64-bit hashes as pairs of 32-bit words; a missing or malformed one is marked absent. */
function words(hashes: readonly (string | undefined)[]): { readonly bits: Uint32Array; readonly has: Uint8Array } {
  const bits = new Uint32Array(hashes.length * 2)
  const has = new Uint8Array(hashes.length)
  hashes.forEach((hash, i) => {
    if (!hash || !/^[0-9a-f]{16}$/i.test(hash)) return
    bits[2 * i] = Number.parseInt(hash.slice(0, 8), 16)
    bits[2 * i + 1] = Number.parseInt(hash.slice(8), 16)
    has[i] = 1
  })
  return { bits, has }
}

function popcount(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555)
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333)
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}

/** Rows of length one; a zero row stays zero and so is never a duplicate by cosine. */
function normalised(x: Float32Array, dim: number, rows: ArrayLike<number>): Matrix {
  const data = new Float32Array(rows.length * dim)
  for (let i = 0; i < rows.length; i++) {
    const start = rows[i]! * dim
    let sum = 0
    for (let j = 0; j < dim; j++) sum += x[start + j]! ** 2
    const factor = sum > 0 ? 1 / Math.sqrt(sum) : 0
    for (let j = 0; j < dim; j++) data[i * dim + j] = x[start + j]! * factor
  }
  return { data, rows: rows.length, cols: dim }
}

/** Dot product of two rows in double precision. */
function dot(m: Matrix, a: number, b: number): number {
  let sum = 0
  for (let j = 0; j < m.cols; j++) sum += m.data[a * m.cols + j]! * m.data[b * m.cols + j]!
  return sum
}

const block = 512

/**
 * Pairs of near-duplicate images, the most similar first. Embeddings are compared all with all by blocks; beyond
 * `rule.maxCompared` images only those with close hashes.
 *
 * @param x the table's embeddings `[.., dim]`; `rows` are the images' rows in it
 * @param hashes `[rows.length]` dHashes (16 hex digits), undefined where unknown
 */
export async function findDuplicates(
  x: Float32Array,
  dim: number,
  rows: ArrayLike<number>,
  hashes: readonly (string | undefined)[],
  options: {
    readonly rule?: DuplicateRule | undefined
    readonly threads?: number | undefined
    readonly signal?: AbortSignal | undefined
  } = {},
): Promise<{ readonly pairs: FoundPair[]; readonly compared: 'all' | 'hashes' | 'none' }> {
  const rule = options.rule ?? defaultDuplicateRule
  const { bits, has } = words(hashes)
  const unit = normalised(x, dim, rows)
  const distance = (a: number, b: number): number | null =>
    has[a] && has[b] ? popcount(bits[2 * a]! ^ bits[2 * b]!) + popcount(bits[2 * a + 1]! ^ bits[2 * b + 1]!) : null
  const close = (a: number, b: number): boolean => (distance(a, b) ?? 65) <= rule.hashBits
  const pairs: FoundPair[] = []
  const all = rows.length <= rule.maxCompared
  if (all) {
    for (let from = 0; from < rows.length; from += block) {
      options.signal?.throwIfAborted()
      const to = Math.min(from + block, rows.length)
      const rest = rowsOf(unit, from, rows.length)
      const product = await gemm(rowsOf(unit, from, to), rest, { transB: true, threads: options.threads ?? 1 })
      for (let a = from; a < to; a++) {
        const start = (a - from) * rest.rows
        for (let b = a + 1; b < rows.length; b++) {
          const rough = product.data[start + b - from]!
          if (rough < rule.cosineWithHash) continue
          if (rough >= rule.cosine || close(a, b))
            pairs.push({ a, b, cosine: Math.min(1, dot(unit, a, b)), distance: distance(a, b) })
        }
      }
    }
  } else if (has.includes(1)) {
    for (let a = 0; a < rows.length; a++) {
      if ((a & 1023) === 0) options.signal?.throwIfAborted()
      if (!has[a]) continue
      for (let b = a + 1; b < rows.length; b++) {
        if (!close(a, b)) continue
        const cosine = dot(unit, a, b)
        if (cosine >= rule.cosineWithHash) pairs.push({ a, b, cosine: Math.min(1, cosine), distance: distance(a, b) })
      }
    }
  }
  pairs.sort((p, q) => q.cosine - p.cosine || p.a - q.a || p.b - q.b)
  return { pairs, compared: all ? 'all' : has.includes(1) ? 'hashes' : 'none' }
}

/**
 * Groups of images connected by pairs, for folds that keep them together: group name by id; images without a twin are
 * left out.
 */
export function duplicateGroups(ids: readonly string[], pairs: readonly FoundPair[]): Map<string, string> {
  const parent = Int32Array.from({ length: ids.length }, (_, i) => i)
  const root = (i: number): number => {
    let at = i
    while (parent[at] !== at) {
      parent[at] = parent[parent[at]!]!
      at = parent[at]!
    }
    return at
  }
  for (const { a, b } of pairs) {
    const [p, q] = [root(a), root(b)]
    parent[Math.max(p, q)] = Math.min(p, q)
  }
  const found = new Map<string, string>()
  for (const item of new Set(pairs.flatMap(({ a, b }) => [a, b]))) found.set(ids[item]!, ids[root(item)]!)
  return found
}

import { sha256 } from '../../src/base/files.js'
import type { Decoded, ExtractionItem, ExtractionJob } from '../../src/embeddings/store/job.js'
import { type ExtractionPlan, planExtraction } from '../../src/embeddings/store/plan.js'
import { namedRecipe } from '../../src/images/recipe/recipe.js'

export const width = 2
export const height = 2
export const dim = 3

/** `bad` names items that cannot be decoded. */
export function fakeItems(count: number): ExtractionItem<number>[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `p${i}`,
    path: `class${i % 3}/p${i}.png`,
    label: i % 7 === 6 ? null : `class${i % 3}`,
    split: i % 2 ? 'test' : 'train',
    group: null,
    source: i,
  }))
}

export function fakePlan(count: number, overrides: Partial<Parameters<typeof planExtraction>[0]> = {}): ExtractionPlan {
  return planExtraction({
    dataset: { name: 'fake', items: count, fingerprint: sha256(String(count)) },
    backbone: { id: 'fake', sha256: sha256('fake') },
    layers: [{ name: 'fc7', tensor: 'fc7_out', dim }],
    pool: 'avg',
    recipe: { name: 'torchvision', steps: namedRecipe('torchvision', { width: 224, height: 224 }) },
    shardSize: 10,
    ...overrides,
  })
}

/** The pixels of item i are all i; the embedding is [sum, first, 1]. */
export function fakeJob(
  out: string,
  plan: ExtractionPlan,
  bad: readonly number[] = [],
  seen: number[] = [],
): ExtractionJob<number> {
  return {
    plan,
    out,
    items: async function* () {
      yield* fakeItems(plan.dataset.items)
    },
    width,
    height,
    batch: 4,
    decoder: {
      async decode(source, buffer, offset): Promise<Decoded> {
        seen.push(source)
        await new Promise((resolve) => setTimeout(resolve, (source * 7) % 3))
        if (bad.includes(source)) return { ok: false, code: 'IMAGE_BROKEN', message: `number ${source} is broken` }
        new Uint8Array(buffer, offset, width * height * 3).fill(source)
        return { ok: true, sha256: sha256(String(source)), webp: new Uint8Array([source]), dHash: '0'.repeat(16) }
      },
    },
    inference: {
      async run(pixels, [rows, h, w, c]) {
        const bytes = new Uint8Array(pixels)
        const size = h * w * c
        const data = new Float32Array(rows * dim)
        for (let row = 0; row < rows; row++) {
          const values = bytes.subarray(row * size, (row + 1) * size)
          data.set([values.reduce((a, b) => a + b, 0), values[0]!, 1], row * dim)
        }
        return { outputs: [{ name: 'layer:fc7', dims: [rows, dim], data }], milliseconds: 0 }
      },
    },
  }
}

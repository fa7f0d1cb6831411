import { describe, expect, it } from '@jest/globals'
import { advise } from '../../src/advisor/advise.js'
import { estimateCost, shareAbove } from '../../src/advisor/evidence/cost.js'
import { planSweep } from '../../src/advisor/evidence/depth.js'
import type { AdviceInput } from '../../src/advisor/evidence/input.js'
import { planAdvice } from '../../src/advisor/evidence/plan.js'
import { adviceSchema } from '../../src/advisor/rules/advice-file.js'
import { prepareBackbone } from '../../src/backbones/prepare.js'
import { createRandom } from '../../src/base/random.js'
import type { EmbeddingTable } from '../../src/embeddings/store/table.js'
import { itemsOf } from '../../src/evaluation/plan/items.js'
import { decodeModel } from '../../src/onnx/read.js'
import { renderAdvice } from '../../src/report/pages/advice-page.js'
import { tinyModel } from '../support/tiny.js'

interface Made {
  readonly layer: string
  readonly rows: number
  readonly classes: number
  /** Distance of the class means in standard deviations. */
  readonly apart: number
  readonly split?: (row: number) => 'train' | 'test' | null
  readonly name?: (k: number) => string
}

/** Gaussian classes: nearer means are harder. */
function made({ layer, rows, classes, apart, split, name }: Made): EmbeddingTable {
  const dim = 12
  const random = createRandom('advice table')
  const means = Array.from({ length: classes }, () => Array.from({ length: dim }, () => random.normal() * apart))
  const labels = Array.from({ length: rows }, (_, row) => (name ?? String)(row % classes))
  return {
    layer,
    rows,
    dim,
    x: Float32Array.from(
      { length: rows * dim },
      (_, at) => means[Math.floor(at / dim) % classes]![at % dim]! + random.normal(),
    ),
    ids: labels.map((_, row) => `${row}`),
    paths: labels.map((_, row) => `${row}.png`),
    labels,
    splits: labels.map((_, row) => split?.(row) ?? null),
    groups: labels.map(() => null),
    views: new Uint16Array(rows),
    classes: [...new Set(labels)],
  }
}

const input = (tables: readonly EmbeddingTable[]): AdviceInput => ({
  name: 'made',
  backbone: { id: 'net', recipe: 'torchvision' },
  depths: tables.map((table, i) => ({ table, depth: (i + 1) / tables.length })),
  pace: { start: 1, perImage: 0.02 },
  boundary: { name: 'conv4', shareAbove: 0.25 },
  words: { severalLayers: tables.length > 1, images: "it's here", model: ['net'], store: 'made.fc7' },
})
const options = { seed: 1, threads: 1 }

describe('advice', () => {
  it('an earlier layer that tells classes apart better speaks for training, and freezes there', async () => {
    const shape = { rows: 400, classes: 4 }
    const tables = [made({ layer: 'conv3', apart: 1, ...shape }), made({ layer: 'fc7', apart: 0.3, ...shape })]
    const advice = await advise(input(tables), options)
    expect(adviceSchema.parse(advice)).toEqual(advice)
    expect(advice.layers[0]!.accuracy).toBeGreaterThan(advice.layers[1]!.accuracy + 0.1)
    expect(advice.verdict).toMatchObject({ strategy: 'last', freezeUntil: 'conv3', augment: true })
    expect(advice.verdict.command).toBe(
      "fc7 finetune 'it'\\''s here' --model net --strategy last --freeze-until conv3 --out tuned",
    )
    expect(await advise(input(tables), options)).toEqual(advice)
  })

  it('few images, unlike the source’s: trained from the layer that does best on; very few: its embeddings', async () => {
    for (const [rows, command] of [
      [160, "fc7 finetune 'it'\\''s here' --model net --strategy last --freeze-until conv3 --out tuned"],
      [60, 'fc7 compare made.fc7 --layer conv3 --out comparison'],
    ] as const) {
      const shape = { rows, classes: 4 }
      const tables = [made({ layer: 'conv3', apart: 0.6, ...shape }), made({ layer: 'fc7', apart: 0.1, ...shape })]
      const advice = await advise(input(tables), options)
      expect(advice.bestLayer).toBe('conv3')
      expect(advice.layers[0]!.p).toBeLessThan(0.05)
      expect(advice.verdict.command).toBe(command)
    }
  })

  it('a last layer that does better beyond chance is the sign of images like the source’s', async () => {
    const shape = { rows: 200, classes: 4 }
    const tables = [made({ layer: 'conv3', apart: 0.3, ...shape }), made({ layer: 'fc7', apart: 1, ...shape })]
    const { verdict, bestLayer, layers } = await advise(input(tables), options)
    expect([verdict.strategy, bestLayer]).toEqual(['embeddings', 'fc7'])
    expect(layers[0]!.p).toBeGreaterThan(0.99)
    expect(verdict.evidence.map(({ rule }) => rule)).toContain('top-fits')
    expect(verdict.command).toBe('fc7 compare made.fc7 --layer fc7 --out comparison')
  })

  it('few images that are distinguished well speak for embeddings; the test split is not looked at', async () => {
    const table = made({ layer: 'fc7', rows: 60, classes: 3, apart: 2, split: (row) => (row < 30 ? 'train' : 'test') })
    const advice = await advise(input([table]), options)
    expect(advice.verdict.strategy).toBe('embeddings')
    expect(advice.verdict.command).toBe('fc7 compare made.fc7 --out comparison')
    expect(advice.data.images).toBe(30)
    expect(advice.notes.join(' ')).toContain('30 images of the split test were not looked at')
    expect(advice.source.note).toContain('not known')
  })

  it('five thousand classes are sampled and that is said', () => {
    const { sample, notes } = planAdvice(itemsOf(made({ layer: 'fc7', rows: 15_000, classes: 5000, apart: 1 })), 3, 0)
    expect(sample.length).toBeLessThanOrEqual(3000)
    expect(notes.join(' ')).toContain('100 of 5000 classes')
  })

  it.each([
    ['three images', made({ layer: 'fc7', rows: 3, classes: 3, apart: 1 }), 'ADVICE_TOO_FEW'],
    ['one class', made({ layer: 'fc7', rows: 30, classes: 1, apart: 1 }), 'ONE_CLASS'],
    [
      'no labels',
      { ...made({ layer: 'fc7', rows: 30, classes: 2, apart: 1 }), labels: new Array(30).fill(null) },
      'NO_LABELS',
    ],
  ])('%s is a clear error', async (_, table, code) => {
    await expect(advise(input([table as EmbeddingTable]), options)).rejects.toMatchObject({
      code,
      hint: expect.stringMatching(/\w/),
    })
  })

  it('its page keeps hostile names as text and runs nothing', async () => {
    const table = made({ layer: '<b>fc7</b>', rows: 40, classes: 2, apart: 1, name: (k) => `</script><script>${k}` })
    const page = await renderAdvice(await advise({ ...input([table]), name: '"><img src=x>' }, options))
    expect(page).not.toMatch(/<script|<img|<b>fc7/)
    expect(page).toContain("default-src 'none'")
  })
})

describe('the sweep', () => {
  it('reads the end of every stage, dense activations and the default layer', () => {
    const trunk = prepareBackbone(decodeModel(tinyModel()))
    const { layers, scores } = planSweep(trunk, undefined)
    expect(layers.map(({ tensor }) => tensor)).toEqual(['relu1', 'relu2', 'relu7'])
    expect(layers.map(({ depth }) => Number(depth.toFixed(2)))).toEqual([0.33, 0.67, 1])
    expect(scores).toBe('prob')
    expect(shareAbove(trunk, 'relu2')).toBeCloseTo((1024 * 24 + 72) / (256 * 8 * 27 + 64 * 16 * 72 + 1024 * 24 + 72), 6)
  })

  it('estimates more for more that is trained', () => {
    const pace = { start: 2, perImage: 0.1 }
    const rows = estimateCost({ images: 100, pace, trainedShare: 0.2, epochs: 10 })
    const of = (name: string) => rows.find(({ strategy }) => strategy === name)!.seconds
    expect(of('embeddings')).toBeCloseTo(12)
    // 85 images in 4 views, 15 as they are.
    expect(of('head')).toBeCloseTo(2 + 0.1 * (85 * 4 + 15))
    expect(of('last')).toBeGreaterThan(of('head'))
    expect(of('all')).toBeGreaterThan(3 * of('last'))
    const [cheap, dear] = [2, 14].map((backward) =>
      estimateCost({ images: 100, pace, trainedShare: 0.2, epochs: 10, backward }),
    )
    expect(cheap!.at(-1)!.seconds).toBeCloseTo(2 + 10 * 0.1 * (85 * 3 + 15))
    expect(dear!.at(-1)!.seconds).toBeCloseTo(2 + 10 * 0.1 * (85 * 15 + 15))
  })
})

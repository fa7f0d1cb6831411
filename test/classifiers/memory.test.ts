import { describe, expect, it } from '@jest/globals'
import { checkMemory, estimateMemory, memoryWords, sizeOf } from '../../src/classifiers/memory.js'
import type { FitSize, Trainer } from '../../src/trainers/contract.js'
import { type RawParams, resolveParams } from '../../src/trainers/params.js'
import { parsePreprocess, preprocessMemory } from '../../src/trainers/preprocess/preprocess.js'
import { getTrainer, trainers } from '../../src/trainers/registry.js'
import { clusters } from '../trainers/data.js'

const bytes = (trainer: Trainer, size: FitSize, raw: RawParams = new Map()): number =>
  trainer.estimatedBytes(size, resolveParams(trainer.params, raw))

const size = (rows: number, cols: number, classes: number, share = 1): FitSize => ({
  rows,
  cols,
  counts: Array.from({ length: classes }, () => rows / classes),
  entries: share * cols,
  threads: 2,
})

describe.each(trainers.map((trainer) => [trainer.id, trainer] as const))('the memory of %s', (_id, trainer) => {
  it('is estimated for any size, more for more columns and rows', () => {
    let before = 0
    for (const [rows, cols] of [
      [60, 30],
      [600, 300],
      [2400, 1200],
      [20_000, 2048],
      [40_000, 4096],
    ] as const) {
      const now = bytes(trainer, size(rows, cols, 10))
      expect(now).toBeGreaterThan(before)
      before = now
    }
    expect(bytes(trainer, size(60, 30, 2))).toBeGreaterThan(0)
  })
})

describe('the memory estimated', () => {
  it('holds the Gram matrix, the cache, the bins and the copies that there are', () => {
    const [linear, kernel, knn, extra] = ['linear-svm', 'kernel-svm', 'knn', 'extra-trees'].map(getTrainer) as [
      Trainer,
      Trainer,
      Trainer,
      Trainer,
    ]
    // 1000 × 4096 goes to the Gram matrix, 4 MB; sparse rows to lists of 8 bytes a number; many rows to no copy of
    // them.
    expect(bytes(linear, size(1000, 4096, 10)) / 4e6).toBeCloseTo(1.1, 0)
    expect(bytes(linear, size(20_000, 2048, 10, 0.05), { loss: 'hinge' }) / (8 * 0.05 * 20_000 * 2048)).toBeCloseTo(
      1.2,
      1,
    )
    expect(bytes(linear, size(200_000, 2048, 2))).toBeLessThan(4 * 200_000 * 2048 * 0.1)
    expect(bytes(knn, size(1000, 512, 2))).toBe(4 * 1000 * 512 + 20 * 1000)
    const caches = [100, 300].map((cache) => bytes(kernel, size(40_000, 64, 2), { cache_size: cache }))
    expect(caches[1]! - caches[0]!).toBe(200 * 2 ** 20)
    // Two bytes a number, and four where threads share the rows.
    expect(bytes(extra, size(20_000, 2048, 10)) / (20_000 * 2048)).toBeGreaterThan(6)
  })

  it('is that of as many threads as a forest has space for, however many there are', () => {
    const many = (threads: number) => bytes(getTrainer('extra-trees'), { ...size(2 ** 20, 1024, 10), threads })
    expect(many(16)).toBeGreaterThan(many(4))
    expect(many(1024)).toBe(many(64))
  })

  it('of preprocessing is two copies where a step follows another, one where it is alone', () => {
    const of = (text: string) => preprocessMemory(parsePreprocess(text), { rows: 1000, cols: 400, entries: 100 })
    expect(of('none')).toEqual({ peakBytes: 0, keptBytes: 0, cols: 400, entries: 100 })
    expect(of('l2')).toEqual({ peakBytes: 1_600_000, keptBytes: 1_600_000, cols: 400, entries: 100 })
    expect(of('power:0.5+l2')).toEqual({ peakBytes: 3_200_000, keptBytes: 1_600_000, cols: 400, entries: 100 })
    expect(of('standardise').entries).toBe(400)
    const pca = of('l2+pca:50')
    expect(pca).toMatchObject({ keptBytes: 200_000, cols: 50, entries: 50 })
    // A block of rows and the 400 × 400 subspace, not a centred copy of them all, stand beside the copy of the first
    // step.
    expect(pca.peakBytes).toBeGreaterThan(1_600_000 + 4 * 400 * 400)
    const many = { rows: 200_000, cols: 4096, entries: 4096 }
    expect(preprocessMemory(parsePreprocess('pca:50'), many).peakBytes).toBeLessThan(0.1 * 4 * 200_000 * 4096)
  })

  it('adds up, and is refused above a limit, with what to do', () => {
    const set = clusters(300, 40, 3)
    const trainer = getTrainer('knn')
    const request = { trainer, set, params: resolveParams(trainer.params), threads: 1 }
    const rowsBytes = 4 * 300 * 40
    const plain = estimateMemory(request)
    expect(plain).toEqual({
      programBytes: plain.programBytes,
      rowsBytes,
      preprocessBytes: rowsBytes,
      trainerBytes: rowsBytes + 20 * 300,
      foldBytes: 0,
      totalBytes: plain.programBytes + 3 * rowsBytes + 20 * 300,
    })
    expect(estimateMemory({ ...request, preprocess: 'none' }).totalBytes).toBe(plain.totalBytes - rowsBytes)
    expect(estimateMemory({ ...request, calibrate: 'sigmoid' }).totalBytes).toBe(plain.totalBytes + rowsBytes)
    expect(estimateMemory({ ...request, otherNumbers: 1000 }).totalBytes).toBe(plain.totalBytes + 4000)
    expect(memoryWords(plain)).toMatch(
      /^About \d+ MB of memory estimated: the trainer 54 kB, rows 48 kB, preprocessing 48 kB\.$/,
    )
    expect(() => checkMemory(plain, trainer, plain.totalBytes)).not.toThrow()
    expect(() => checkMemory(plain, trainer, plain.totalBytes - 1)).toThrow(
      expect.objectContaining({ code: 'TRAINER_MEMORY', hint: expect.stringContaining('pca:<n>') }),
    )
  })

  it('counts rows by class, and the numbers that are not zero', () => {
    const x = { data: Float32Array.of(0, 1, 2, 0, 0, 3), rows: 3, cols: 2 }
    expect(sizeOf({ x, y: Int32Array.of(2, 0, 2), classes: ['a', 'b', 'c'] }, 4)).toEqual({
      rows: 3,
      cols: 2,
      counts: [1, 2],
      entries: 1,
      threads: 4,
    })
  })
})

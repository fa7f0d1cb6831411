import { describe, expect, it } from '@jest/globals'
import { BatchTuner } from '../../../src/embeddings/extract/batch-tuner.js'
import { Stages } from '../../../src/embeddings/extract/pipeline/stages.js'
import { threadSplits } from '../../../src/runtime/machine.js'

/** Runs a tuner on a machine whose rate depends on the batch alone, until it has settled or `runs` are over. */
function tune(rate: (batch: number) => number, options: ConstructorParameters<typeof BatchTuner>[0] = {}, runs = 200) {
  const tuner = new BatchTuner(options)
  for (let i = 0; i < runs && !tuner.settled; i++) tuner.ran(tuner.size, (1000 * tuner.size) / rate(tuner.size))
  return tuner
}

describe('BatchTuner', () => {
  it('goes up while that is faster, and keeps the last size that was', () => {
    const tuner = tune((batch) => Math.min(batch, 32))
    expect([tuner.size, tuner.settled]).toEqual([32, true])
    expect(tuner.measured.map(({ batch }) => batch)).toEqual([4, 8, 16, 32])
    expect(tune((batch) => (batch === 8 ? 20 : 10)).size).toBe(8)
  })

  it('goes down where smaller is no slower, as far as it is', () => {
    expect(tune(() => 10).size).toBe(1)
    const tuner = tune((batch) => (batch === 2 ? 12 : 10))
    expect(tuner.size).toBe(2)
    expect(tuner.measured.map(({ batch }) => batch)).toEqual([4, 8, 2, 1])
  })

  it('stays where both neighbours are slower', () => {
    expect(tune((batch) => (batch === 4 ? 12 : 10)).size).toBe(4)
  })

  it('keeps to its bounds', () => {
    expect(tune((batch) => batch, { max: 8 }).size).toBe(8)
    expect(tune(() => 1, { max: 1 }).size).toBe(1)
    expect(tune((batch) => batch, { max: 5 }).size).toBe(4)
  })

  it('does not count the first run of a size in each session, nor rests of another size', () => {
    const tuner = new BatchTuner({ start: 8, sessions: 2 })
    for (const slow of [1e9, 1e9]) tuner.ran(8, slow)
    for (let i = 0; i < 4; i++) tuner.ran(8, 100)
    tuner.ran(3, 1)
    expect([tuner.measured, tuner.size]).toEqual([[], 8])
    tuner.ran(8, 100)
    expect(tuner.measured).toEqual([{ batch: 8, rate: 80 }])
    expect(tuner.size).toBe(16)
  })
})

describe('Stages', () => {
  it('counts each moment once, by who is at work', async () => {
    let time = 0
    const stages = new Stages(2, () => time)
    const ends: (() => void)[] = []
    const begin = (stage: 'decode' | 'inference' | 'disk') => {
      const work = stages.during(stage, () => new Promise<void>((resolve) => ends.push(resolve)))
      return async () => {
        ends.shift()!()
        await work
      }
    }
    const endDecode = begin('decode')
    time = 10 // both sessions idle
    const endFirst = begin('inference')
    time = 20 // one of two idle
    const endSecond = begin('inference')
    time = 30 // nobody waits
    await endDecode()
    time = 40 // decoding waits for the network
    await endFirst()
    await endSecond()
    const endDisk = begin('disk')
    time = 47
    await endDisk()
    time = 100 // nobody is at work
    expect(stages.waitedMs).toEqual({ decode: 15, inference: 10, disk: 7 })
  })
})

describe('threadSplits', () => {
  const gigabyte = 1e9
  it('gives each thread a session, then half as many, at last one', () => {
    expect(threadSplits(2, 1e8, 8 * gigabyte)).toEqual([
      { sessions: 2, perSession: 1 },
      { sessions: 1, perSession: 2 },
    ])
    expect(threadSplits(6, 1e7, 8 * gigabyte).map(({ sessions }) => sessions)).toEqual([6, 3, 1])
    expect(threadSplits(1, 1e8, 8 * gigabyte)).toEqual([{ sessions: 1, perSession: 1 }])
  })

  it('makes no more copies of the weights than a quarter of the memory holds', () => {
    expect(threadSplits(8, 5.5e8, 8 * gigabyte)).toEqual([{ sessions: 1, perSession: 8 }])
    expect(threadSplits(8, 5.5e8, 24 * gigabyte).map(({ sessions }) => sessions)).toEqual([4, 2, 1])
  })
})

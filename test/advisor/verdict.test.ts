import { describe, expect, it } from '@jest/globals'
import { type Facts, rules, strategies } from '../../src/advisor/rules.js'
import { judge } from '../../src/advisor/verdict.js'

/** Two hundred pictures a class, a good probe, nothing remarkable. */
const plain: Facts = {
  rows: 2000,
  perClassMedian: 200,
  probe: 0.93,
  probeTrain: 0.99,
  gap: 0.06,
  errorLeft: 0.08,
  earlierLead: 0,
  earlierHolds: 0,
  entropy: 0.4,
  frechet: null,
  allHours: 1,
}

describe('the verdict', () => {
  it.each<[string, Partial<Facts>, string]>([
    ['similar and small', { rows: 100, perClassMedian: 10 }, 'embeddings'],
    ['nearly solved', { probe: 0.985, errorLeft: 0.02, perClassMedian: 500 }, 'embeddings'],
    ['room left and pictures enough', { probe: 0.75, errorLeft: 0.28, perClassMedian: 200 }, 'last'],
    ['an earlier layer is best', { earlierLead: 0.04, earlierHolds: 1, perClassMedian: 60, errorLeft: 0.3 }, 'last'],
    [
      'large, features lack what is asked',
      { rows: 50_000, perClassMedian: 5000, probe: 0.6, probeTrain: 0.7, errorLeft: 0.45 },
      'all',
    ],
    [
      'huge and unlike the source',
      {
        rows: 2_000_000,
        perClassMedian: 20_000,
        probe: 0.95,
        probeTrain: 0.96,
        errorLeft: 0.05,
        earlierLead: 0.08,
        earlierHolds: 1,
      },
      'all',
    ],
  ])('%s', (_, change, strategy) => {
    expect(judge({ ...plain, ...change }).strategy).toBe(strategy)
  })

  it('never recommends random weights for a small data set, whatever else holds', () => {
    for (const perClassMedian of [5, 50, 500])
      for (const probeTrain of [0.5, 1])
        expect(
          judge({ ...plain, perClassMedian, probeTrain, errorLeft: 0.5, earlierLead: 0.2, earlierHolds: 1 }).votes
            .scratch,
        ).toBeLessThan(-3)
  })

  it('training gap and layer sweep outrank the distance to the source', () => {
    const far = judge({ ...plain, frechet: 3, entropy: 0.9 })
    const near = judge({ ...plain, frechet: 0.1, entropy: 0.1 })
    const shift = Math.abs(far.votes.last - near.votes.last) + Math.abs(far.votes.embeddings - near.votes.embeddings)
    const swept = judge({ ...plain, earlierLead: 0.05, earlierHolds: 1 })
    const base = judge(plain)
    expect(
      Math.abs(swept.votes.last - base.votes.last) + Math.abs(swept.votes.embeddings - base.votes.embeddings),
    ).toBeGreaterThan(shift)
  })

  it('tells the evidence with its values, and what would change it', () => {
    const { evidence, wouldChange, confidence } = judge({ ...plain, probe: 0.75, errorLeft: 0.28 })
    expect(evidence.find(({ rule }) => rule === 'room-and-rows')?.text).toContain('28.0 % of the error')
    expect(wouldChange).toContain(
      'With a quarter of the pictures it would be frozen embeddings and a classical trainer.',
    )
    expect(['high', 'medium']).toContain(confidence)
    for (const { text, source } of evidence) {
      expect(text).not.toMatch(/[{}]|unknown/)
      expect(source).not.toBe('')
    }
  })

  it('ignores what could not be measured', () => {
    const verdict = judge({
      ...plain,
      entropy: null,
      frechet: null,
      earlierLead: null,
      earlierHolds: null,
      allHours: null,
    })
    expect(verdict.evidence.map(({ rule }) => rule)).not.toContain('last-best')
  })

  it('every rule can apply and votes for something known', () => {
    expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length)
    for (const { when, votes } of rules) {
      for (const { atLeast, below } of when) expect(atLeast === undefined && below === undefined).toBe(false)
      for (const strategy of Object.keys(votes)) expect(strategies).toContain(strategy)
    }
  })
})

import { describe, expect, it } from '@jest/globals'
import { type Facts, strategies } from '../../src/advisor/rules/facts.js'
import { rules } from '../../src/advisor/rules/rules.js'
import { judge } from '../../src/advisor/rules/verdict.js'

/** Two hundred images a class, a good probe, nothing remarkable. */
const plain: Facts = {
  rows: 2000,
  perClassMedian: 200,
  probe: 0.93,
  standardError: 0.006,
  roomInErrors: 12,
  probeTrain: 0.99,
  gap: 0.06,
  errorLeft: 0.08,
  layers: 5,
  earlierLead: 0,
  earlierHolds: 0,
  upperRemoves: 0.6,
  like: 1,
  unlike: 0,
  entropy: 0.4,
  frechet: null,
  allHours: 1,
}

/** An earlier layer leads beyond chance. */
const earlier = { earlierLead: 0.06, earlierHolds: 1, upperRemoves: 0, like: 0, unlike: 1 }
/** None leads, but the upper half of the network removes hardly an error. */
const flat = { earlierLead: 0.02, earlierHolds: 0, upperRemoves: 0.05, like: 0, unlike: 1 }
/** Errors left that few images leave. */
const room = { probe: 0.78, errorLeft: 0.25, probeTrain: 1, gap: 0.22, standardError: 0.025, roomInErrors: 8.8 }
const few = { ...room, rows: 300, perClassMedian: 30 }

describe('the verdict', () => {
  it.each<[string, Partial<Facts>, string]>([
    ['similar and small', few, 'embeddings'],
    ['similar and larger', { ...room, perClassMedian: 300 }, 'last'],
    ['dissimilar and small', { ...few, ...earlier }, 'last'],
    ['dissimilar and small, by a network whose top adds nothing', { ...few, ...flat }, 'last'],
    ['dissimilar and large', { ...room, ...earlier, rows: 20_000, perClassMedian: 2000 }, 'all'],
    ['dissimilar and large, by the top', { ...room, ...flat, rows: 20_000, perClassMedian: 2000 }, 'all'],
  ])('the four fields of the lecture: %s', (_, change, strategy) => {
    expect(judge({ ...plain, ...change }).strategy).toBe(strategy)
  })

  it('the sweep outranks the distance, few images and a gap, whatever the distance says', () => {
    for (const [entropy, frechet] of [
      [0.05, 0.05],
      [0.9, 5],
    ] as const) {
      expect(judge({ ...plain, ...few, ...earlier, entropy, frechet }).strategy).toBe('last')
      expect(judge({ ...plain, ...few, entropy, frechet }).strategy).toBe('embeddings')
    }
  })

  it('very few images unlike the source’s: the embeddings of the better layer, which were measured', () => {
    expect(judge({ ...plain, ...few, ...earlier, rows: 80, perClassMedian: 8 }).strategy).toBe('embeddings')
  })

  it('is not sure where the room left is wider than what was measured, and says why', () => {
    const likeEighty = { ...few, rows: 80, perClassMedian: 40, standardError: 0.04, roomInErrors: 5 }
    const wide = judge({ ...plain, ...likeEighty })
    expect([wide.strategy, wide.confidence]).toEqual(['embeddings', 'medium'])
    expect(wide.doubts.join(' ')).toContain('known to ± 4.0 points')
    const narrow = judge({ ...plain, ...likeEighty, standardError: 0.008, roomInErrors: 25 })
    expect([narrow.confidence, narrow.doubts]).toEqual(['high', []])
    const solved = { probe: 1, probeTrain: 1, gap: 0, errorLeft: 0, roomInErrors: 0 }
    expect(judge({ ...plain, ...likeEighty, ...solved }).confidence).toBe('high')
  })

  it('is not sure where likeness is not known: a sweep that tells nothing, no sweep', () => {
    const unknown = judge({ ...plain, ...few, like: 0, upperRemoves: 0.2 })
    expect([unknown.strategy, unknown.confidence]).toEqual(['embeddings', 'low'])
    expect(unknown.evidence.map(({ rule }) => rule)).toContain('likeness-unknown')
    const one = judge({ ...plain, ...few, like: 0, layers: 1, earlierLead: null, upperRemoves: null })
    expect(one.confidence).toBe('medium')
    expect(one.evidence.map(({ rule }) => rule)).toContain('one-layer')
  })

  it('is not sure where the votes are close, or where the end of the probe’s interval turns them', () => {
    const near = judge({ ...plain, ...few, ...flat, perClassMedian: 120 })
    expect(near.votes[near.strategy] - near.votes[near.runnerUp]).toBeLessThan(2.5)
    expect(near.confidence).not.toBe('high')
    expect(near.doubts.join(' ')).toMatch(/not far apart: .* to /)
    // Saturated, but for two standard errors.
    const edge = { probe: 0.975, standardError: 0.015, roomInErrors: 1.6, errorLeft: 0.12, gap: 0.02 }
    const turned = judge({ ...plain, ...edge, perClassMedian: 300 })
    expect(turned.strategy).toBe('embeddings')
    expect(turned.doubts).toContain(
      'With a probe at the lower end of its interval (two standard errors) it would be the first layers frozen, the last ones trained.',
    )
    expect(turned.confidence).not.toBe('high')
  })

  it('says that the sweep would turn it', () => {
    expect(judge({ ...plain, ...few }).wouldChange).toContain(
      'With an earlier layer that does clearly better it would be the first layers frozen, the last ones trained.',
    )
    expect(judge({ ...plain, ...few, ...earlier }).wouldChange).toContain(
      'With a last layer that does clearly better than the earlier ones it would be frozen embeddings and a classical trainer.',
    )
  })

  it.each<[string, Partial<Facts>, string]>([
    ['similar and small', { rows: 100, perClassMedian: 10 }, 'embeddings'],
    ['nearly solved', { probe: 0.985, errorLeft: 0.02, perClassMedian: 500 }, 'embeddings'],
    ['room left and images enough', { probe: 0.75, errorLeft: 0.28, perClassMedian: 200 }, 'last'],
    ['an earlier layer is best', { ...earlier, earlierLead: 0.04, perClassMedian: 60, errorLeft: 0.3 }, 'last'],
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
        ...earlier,
        earlierLead: 0.08,
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
          judge({ ...plain, ...earlier, perClassMedian, probeTrain, errorLeft: 0.5, earlierLead: 0.2 }).votes.scratch,
        ).toBeLessThan(-3)
  })

  it('training gap and layer sweep outrank the distance to the source', () => {
    const far = judge({ ...plain, frechet: 3, entropy: 0.9 })
    const near = judge({ ...plain, frechet: 0.1, entropy: 0.1 })
    const shift = Math.abs(far.votes.last - near.votes.last) + Math.abs(far.votes.embeddings - near.votes.embeddings)
    const swept = judge({ ...plain, ...earlier })
    const base = judge(plain)
    expect(
      Math.abs(swept.votes.last - base.votes.last) + Math.abs(swept.votes.embeddings - base.votes.embeddings),
    ).toBeGreaterThan(shift)
  })

  it('tells the evidence with its values, and what would change it', () => {
    const { evidence, wouldChange, confidence } = judge({ ...plain, probe: 0.75, errorLeft: 0.28 })
    expect(evidence.find(({ rule }) => rule === 'room-and-rows')?.text).toContain('28.0 % of the error')
    expect(wouldChange).toContain('With a quarter of the images it would be frozen embeddings and a classical trainer.')
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
      upperRemoves: null,
      layers: 1,
      like: 0,
      allHours: null,
    })
    const applied = verdict.evidence.map(({ rule }) => rule)
    for (const rule of ['familiar', 'unfamiliar', 'far', 'near', 'top-fits', 'likeness-unknown', 'too-long'])
      expect(applied).not.toContain(rule)
  })

  it('every rule can apply and votes for something known', () => {
    expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length)
    for (const { when, votes } of rules) {
      for (const { atLeast, below } of when) expect(atLeast === undefined && below === undefined).toBe(false)
      for (const strategy of Object.keys(votes)) expect(strategies).toContain(strategy)
    }
  })
})

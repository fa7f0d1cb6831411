import { type FactName, type Facts, type Strategy, strategies } from './facts.js'
import { type Condition, hypotheses, type Rule, rules } from './rules.js'

/** A rule that applies, as the evidence table shows it. */
export interface Evidence {
  readonly rule: string
  readonly text: string
  readonly source: string
  readonly votes: Readonly<Partial<Record<Strategy, number>>>
  /** What it adds to the chosen strategy over the next best: above 0 speaks for the verdict. */
  readonly weight: number
}

export interface Verdict {
  readonly strategy: Strategy
  readonly runnerUp: Strategy
  readonly votes: Readonly<Record<Strategy, number>>
  readonly confidence: 'high' | 'medium' | 'low'
  /** Why confidence is not higher, in sentences; empty where it is high. */
  readonly doubts: readonly string[]
  readonly evidence: readonly Evidence[]
  /** Sentences: what would have to be different, and what the verdict would then be. */
  readonly wouldChange: readonly string[]
}

const percentFacts = new Set<FactName>(['probe', 'probeTrain', 'errorLeft', 'upperRemoves'])
const pointFacts = new Set<FactName>(['gap', 'earlierLead', 'standardError'])

/** A fact as people read it. */
export function formatFact(name: FactName, value: number | null): string {
  if (value === null) return 'unknown'
  if (percentFacts.has(name)) return `${(100 * value).toFixed(1)} %`
  if (pointFacts.has(name)) return `${(100 * value).toFixed(1)} points`
  return Number.isInteger(value) ? String(value) : value.toFixed(value < 10 ? 2 : 1)
}

const holds = (facts: Facts, { fact, atLeast, below }: Condition): boolean => {
  const value = facts[fact]
  if (value === null) return false
  return (atLeast === undefined || value >= atLeast) && (below === undefined || value < below)
}

const applies = (facts: Facts, rule: Rule): boolean => rule.when.every((condition) => holds(facts, condition))

function count(applied: readonly Rule[]): Record<Strategy, number> {
  const votes: Record<Strategy, number> = { embeddings: 0, head: 0, last: 0, all: 0, scratch: 0 }
  for (const rule of applied) for (const strategy of strategies) votes[strategy] += rule.votes[strategy] ?? 0
  return votes
}

/** Most votes first; between equals the cheaper one. */
const ranked = (votes: Readonly<Record<Strategy, number>>): Strategy[] =>
  [...strategies].sort((a, b) => votes[b] - votes[a] || strategies.indexOf(a) - strategies.indexOf(b))

const winnerOf = (facts: Facts): Strategy => ranked(count(rules.filter((rule) => applies(facts, rule))))[0]!

/** How a strategy is called in a sentence. */
export const strategyTitles: Readonly<Record<Strategy, string>> = {
  embeddings: 'frozen embeddings and a classical trainer',
  head: 'a new head, trained on the frozen network',
  last: 'the first layers frozen, the last ones trained',
  all: 'every layer trained from the pretrained weights',
  scratch: 'every layer trained from random weights',
}

/** Votes between the first two that a verdict of each confidence needs: that of one strong rule, and one weak one's. */
const margins = { high: 2.5, medium: 1 } as const

/** How sure the votes are, and everything that takes from it. */
function confidenceOf(
  facts: Facts,
  applied: readonly Rule[],
  [strategy, runnerUp]: readonly [Strategy, Strategy],
  votes: Readonly<Record<Strategy, number>>,
): Pick<Verdict, 'confidence' | 'doubts'> {
  const margin = votes[strategy] - votes[runnerUp]
  const close = `The votes are not far apart: ${votes[strategy]} to ${votes[runnerUp]} for ${strategyTitles[runnerUp]}.`
  const byVotes = margin >= margins.high ? 'high' : margin >= margins.medium ? 'medium' : 'low'
  const found: { readonly most: Verdict['confidence']; readonly says: string }[] = [
    ...(byVotes === 'high' ? [] : [{ most: byVotes, says: close } as const]),
    ...applied.flatMap((rule) => (rule.caps ? [{ most: rule.caps, says: textOf(rule, facts) }] : [])),
    ...hypotheses.flatMap(({ says, change, within }) => {
      const other = winnerOf(change(facts))
      if (!within || other === strategy) return []
      return [{ most: 'medium', says: `With ${says} it would be ${strategyTitles[other]}.` } as const]
    }),
  ]
  const levels = ['low', 'medium', 'high'] as const
  const most = Math.min(2, ...found.map((doubt) => levels.indexOf(doubt.most)))
  return { confidence: levels[most]!, doubts: found.map(({ says }) => says) }
}

/** Applies the rules of rules.ts to what was measured: a pure function, so that the verdict can be argued with. */
export function judge(facts: Facts): Verdict {
  const applied = rules.filter((rule) => applies(facts, rule))
  const votes = count(applied)
  const [strategy, runnerUp] = ranked(votes) as [Strategy, Strategy]
  const without = applied.flatMap((rule) => {
    const other = ranked(count(applied.filter((one) => one !== rule)))[0]!
    return other === strategy ? [] : [`Without this, it would be ${strategyTitles[other]}: ${textOf(rule, facts)}`]
  })
  const changed = hypotheses.flatMap(({ says, change }) => {
    const other = winnerOf(change(facts))
    return other === strategy ? [] : [`With ${says} it would be ${strategyTitles[other]}.`]
  })
  return {
    strategy,
    runnerUp,
    votes,
    ...confidenceOf(facts, applied, [strategy, runnerUp], votes),
    evidence: applied
      .map((rule) => ({
        rule: rule.id,
        text: textOf(rule, facts),
        source: rule.source,
        votes: rule.votes,
        weight: (rule.votes[strategy] ?? 0) - (rule.votes[runnerUp] ?? 0),
      }))
      .sort((a, b) => b.weight - a.weight),
    wouldChange: [...changed, ...without],
  }
}

const textOf = (rule: Rule, facts: Facts): string =>
  rule.says.replace(/\{(\w+)\}/g, (_, name: FactName) => formatFact(name, facts[name]))

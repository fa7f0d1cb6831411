import {
  type Condition,
  type FactName,
  type Facts,
  hypotheses,
  type Rule,
  rules,
  type Strategy,
  strategies,
} from './rules.js'

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
  readonly evidence: readonly Evidence[]
  /** Sentences: what would have to be different, and what the verdict would then be. */
  readonly wouldChange: readonly string[]
}

const percentFacts = new Set<FactName>(['probe', 'probeTrain', 'errorLeft'])
const pointFacts = new Set<FactName>(['gap', 'earlierLead'])

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

/** Applies the rules of rules.ts to what was measured: a pure function, so that the verdict can be argued with. */
export function judge(facts: Facts): Verdict {
  const applied = rules.filter((rule) => applies(facts, rule))
  const votes = count(applied)
  const [strategy, runnerUp] = ranked(votes) as [Strategy, Strategy]
  const margin = votes[strategy] - votes[runnerUp]
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
    confidence: applied.some(({ unsure }) => unsure) ? 'low' : margin >= 2.5 ? 'high' : margin >= 1 ? 'medium' : 'low',
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

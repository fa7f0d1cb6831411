/** What can be done with a data set and a pretrained network, cheapest first. */
export const strategies = ['embeddings', 'head', 'last', 'all', 'scratch'] as const
export type Strategy = (typeof strategies)[number]

/** What the measurements say; null where something could not be measured. Shares and accuracies are in [0, 1]. */
export interface Facts {
  readonly rows: number
  readonly perClassMedian: number
  /** Accuracy of the linear probe on held-out pictures. */
  readonly probe: number
  /** Accuracy of the probe on its own training rows. */
  readonly probeTrain: number
  /** `probeTrain` − `probe`. */
  readonly gap: number
  /** What the probe gets wrong, in parts of what guessing the largest class gets wrong. */
  readonly errorLeft: number
  /** Best accuracy over the layers minus the default layer's; 0 where the default layer is best. */
  readonly earlierLead: number | null
  /** 1 where that lead is beyond chance (corrected resampled t-test at 0.05), else 0. */
  readonly earlierHolds: number | null
  /** Entropy of the source classifier's predictions, 0 sure, 1 knows nothing. */
  readonly entropy: number | null
  /** Fréchet distance in parts of the source's own variance. */
  readonly frechet: number | null
  /** Foreseen hours of `all`. */
  readonly allHours: number | null
}

export type FactName = keyof Facts

export interface Condition {
  readonly fact: FactName
  readonly atLeast?: number
  readonly below?: number
}

/** One consideration: where all of `when` hold, `votes` are added. */
export interface Rule {
  readonly id: string
  readonly when: readonly Condition[]
  readonly votes: Readonly<Partial<Record<Strategy, number>>>
  /** For the evidence table; `{fact}` is replaced by its value. */
  readonly says: string
  readonly source: string
  /** Where it applies, no verdict can be sure, whatever the votes. */
  readonly unsure?: true
}

const kornblith = 'Kornblith, Shlens and Le 2019, arXiv 1805.08974'
const yosinski = 'Yosinski et al. 2014, arXiv 1411.1792'
const vtab = 'Zhai et al. 2019 (VTAB), arXiv 1910.04867'

/**
 * The advisor's judgement as data. The training gap and the layer sweep outrank the distance to the source (2 votes against ½):
 * fine-grained sets look like the source and still gain from tuning. What a vote is worth was set by hand from the sources named; the
 * results beside the verdicts in docs/advise.md say where they err.
 */
export const rules: readonly Rule[] = [
  {
    id: 'cheapest-first',
    when: [],
    votes: { embeddings: 1, head: 0.5 },
    says: 'Between equals, what costs least and cannot overfit the network.',
    source: 'Occam',
  },
  {
    id: 'saturated',
    when: [{ fact: 'probe', atLeast: 0.97 }],
    votes: { embeddings: 3 },
    says: 'The probe already gets {probe} right; there is little left to gain.',
    source: kornblith,
  },
  {
    id: 'very-few',
    when: [{ fact: 'perClassMedian', below: 20 }],
    votes: { embeddings: 3, last: -1, all: -2, scratch: -6 },
    says: '{perClassMedian} pictures a class are too few to move a network’s weights safely.',
    source: yosinski,
  },
  {
    id: 'few',
    when: [
      { fact: 'perClassMedian', atLeast: 20 },
      { fact: 'perClassMedian', below: 100 },
    ],
    votes: { embeddings: 1, last: 0.5, all: -1, scratch: -5 },
    says: '{perClassMedian} pictures a class: enough for the last layers, not for all.',
    source: vtab,
  },
  {
    id: 'middling',
    when: [
      { fact: 'perClassMedian', atLeast: 100 },
      { fact: 'perClassMedian', below: 1000 },
    ],
    votes: { last: 1.5, all: 1, scratch: -4 },
    says: '{perClassMedian} pictures a class can carry fine-tuning.',
    source: vtab,
  },
  {
    id: 'many',
    when: [{ fact: 'perClassMedian', atLeast: 1000 }],
    votes: { last: 1, all: 2.5, scratch: -1 },
    says: '{perClassMedian} pictures a class let every layer train.',
    source: kornblith,
  },
  {
    id: 'underfits',
    when: [
      { fact: 'probeTrain', below: 0.9 },
      { fact: 'errorLeft', atLeast: 0.1 },
    ],
    votes: { embeddings: -1, last: 2, all: 2 },
    says: 'The probe cannot even fit its own training pictures ({probeTrain}): the frozen features lack what tells the classes apart.',
    source: kornblith,
  },
  {
    id: 'overfits',
    when: [
      { fact: 'gap', atLeast: 0.1 },
      { fact: 'perClassMedian', below: 100 },
    ],
    votes: { embeddings: 1, all: -1 },
    says: 'The probe does {gap} better on its training pictures than on others: a larger model would learn them by heart.',
    source: yosinski,
  },
  {
    id: 'no-signal',
    when: [{ fact: 'errorLeft', atLeast: 0.95 }],
    votes: {},
    says: 'The probe does hardly better than guessing ({probe} right): look first whether the labels can be seen in the pictures at all.',
    source: 'a probe that learns nothing is no evidence for any strategy',
    unsure: true,
  },
  {
    id: 'room-and-rows',
    when: [
      { fact: 'errorLeft', atLeast: 0.1 },
      { fact: 'perClassMedian', atLeast: 100 },
    ],
    votes: { last: 2, all: 1.5 },
    says: '{errorLeft} of the error of guessing is left, and there are pictures enough to train on: tuned features usually close part of that.',
    source: kornblith,
  },
  {
    id: 'earlier-best',
    when: [
      { fact: 'earlierLead', atLeast: 0.01 },
      { fact: 'earlierHolds', atLeast: 1 },
    ],
    votes: { last: 2, all: 1.5, head: -1 },
    says: 'An earlier layer does {earlierLead} better than the last, beyond chance: the top of the network is about other pictures than these.',
    source: yosinski,
  },
  {
    id: 'last-best',
    when: [{ fact: 'earlierLead', below: 0.01 }],
    votes: { embeddings: 1, head: 0.5 },
    says: 'No earlier layer does better than the last: the network’s own features fit these pictures.',
    source: yosinski,
  },
  {
    id: 'familiar',
    when: [{ fact: 'entropy', below: 0.3 }],
    votes: { embeddings: 0.5 },
    says: 'The source classifier is sure about these pictures (entropy {entropy}): they look like its own.',
    source: 'weak evidence; Hendrycks and Gimpel 2017, arXiv 1610.02136',
  },
  {
    id: 'unfamiliar',
    when: [{ fact: 'entropy', atLeast: 0.6 }],
    votes: { last: 0.5, all: 0.5 },
    says: 'The source classifier is unsure about these pictures (entropy {entropy}): they look like nothing it knows.',
    source: 'weak evidence; Hendrycks and Gimpel 2017, arXiv 1610.02136',
  },
  {
    id: 'far',
    when: [{ fact: 'frechet', atLeast: 1 }],
    votes: { last: 0.5, all: 0.5 },
    says: 'The embeddings lie far from those of the source’s pictures ({frechet} of its variance).',
    source: 'weak evidence; Heusel et al. 2017, arXiv 1706.08500',
  },
  {
    id: 'near',
    when: [{ fact: 'frechet', below: 0.3 }],
    votes: { embeddings: 0.5 },
    says: 'The embeddings lie among those of the source’s pictures ({frechet} of its variance).',
    source: 'weak evidence; Heusel et al. 2017, arXiv 1706.08500',
  },
  {
    id: 'from-scratch',
    when: [
      { fact: 'rows', atLeast: 100_000 },
      { fact: 'earlierLead', atLeast: 0.05 },
    ],
    votes: { scratch: 3, all: 1 },
    says: '{rows} pictures unlike the source: pretrained weights may no longer matter.',
    source: vtab,
  },
  {
    id: 'never-from-scratch',
    when: [{ fact: 'rows', below: 100_000 }],
    votes: { scratch: -4 },
    says: '{rows} pictures are too few to train a network from random weights.',
    source: vtab,
  },
  {
    id: 'too-long',
    when: [{ fact: 'allHours', atLeast: 12 }],
    votes: { all: -1.5, last: -0.5 },
    says: 'Training every layer would take about {allHours} hours on this machine.',
    source: 'measured here',
  },
]

/** Changes to the data whose effect on the verdict is told. */
export const hypotheses: readonly {
  readonly says: string
  readonly change: (facts: Facts) => Facts
}[] = [
  {
    says: 'four times as many pictures',
    change: (facts) => ({
      ...facts,
      rows: 4 * facts.rows,
      perClassMedian: 4 * facts.perClassMedian,
      allHours: facts.allHours === null ? null : 4 * facts.allHours,
    }),
  },
  {
    says: 'a quarter of the pictures',
    change: (facts) => ({ ...facts, rows: facts.rows / 4, perClassMedian: facts.perClassMedian / 4 }),
  },
  {
    says: 'a probe that gets nearly everything right',
    change: (facts) => ({ ...facts, probe: 0.98, probeTrain: 1, gap: 0.02, errorLeft: 0.02 }),
  },
  {
    says: 'a probe that gets far less right even on its training pictures',
    change: (facts) => ({
      ...facts,
      probe: facts.probe / 2,
      probeTrain: 0.7,
      gap: 0.7 - facts.probe / 2,
      errorLeft: 0.6,
    }),
  },
  {
    says: 'an earlier layer that does clearly better',
    change: (facts) => ({ ...facts, earlierLead: 0.05, earlierHolds: 1 }),
  },
  { says: 'a machine ten times as fast', change: (facts) => ({ ...facts, allHours: (facts.allHours ?? 0) / 10 }) },
]

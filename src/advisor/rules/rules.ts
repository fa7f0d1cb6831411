import type { FactName, Facts, Strategy } from './facts.js'

export interface Condition {
  readonly fact: FactName
  readonly atLeast?: number | undefined
  readonly below?: number | undefined
}

/** One consideration: where all of `when` hold, `votes` are added. */
export interface Rule {
  readonly id: string
  readonly when: readonly Condition[]
  readonly votes: Readonly<Partial<Record<Strategy, number>>>
  /** For the evidence table; `{fact}` is replaced by its value. */
  readonly says: string
  readonly source: string
  /** Where it applies, confidence is no higher than this, whatever the votes. */
  readonly caps?: 'medium' | 'low' | undefined
}

const azizpour = 'Azizpour et al. 2016, arXiv 1406.5774'
const kornblith = 'Kornblith, Shlens and Le 2019, arXiv 1805.08974'
const kumar = 'Kumar et al. 2022, arXiv 2202.10054'
const zeiler = 'Zeiler and Fergus 2014, arXiv 1311.2901'
const yosinski = 'Yosinski et al. 2014, arXiv 1411.1792'
const vtab = 'Zhai et al. 2019 (VTAB), arXiv 1910.04867'

/** As far as is known. */
const notUnlike: Condition = { fact: 'unlike', below: 1 }
const unlike: Condition = { fact: 'unlike', atLeast: 1 }
const perClass = (atLeast: number, below?: number): Condition => ({
  fact: 'perClassMedian',
  atLeast,
  below,
})

/**
 * The advisor's judgement as data: the four fields of the lecture's table (are the images like the source's, are there
 * many), what the probe says about the error left, and costs. What tells like from unlike is the layer sweep
 * (sweep.ts): unlike, where an earlier layer does better, or the upper half of the network removes hardly an error;
 * like, where the upper half does better than the lower; each beyond chance, and else it is not known. The sweep
 * outranks the distance to the source twice over: by 2 votes against ½, and because nothing that speaks of images like
 * the source's votes beside it. Few images speak for frozen features only where the features fit (Yosinski 2014
 * measures that they stop fitting with the distance of the tasks, the top layers first). The weight of a vote was set
 * by hand from the sources named; the results beside the verdicts in docs/advise.md say where they err.
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
    when: [notUnlike, { fact: 'perClassMedian', below: 20 }],
    votes: { embeddings: 3, last: -1, all: -2, scratch: -6 },
    says: '{perClassMedian} images a class are too few to move a network’s weights safely.',
    source: yosinski,
  },
  {
    id: 'few',
    when: [notUnlike, perClass(20, 100)],
    votes: { embeddings: 1, last: 0.5, all: -1, scratch: -5 },
    says: '{perClassMedian} images a class: enough for the last layers, not for all.',
    source: vtab,
  },
  {
    id: 'middling',
    when: [perClass(100, 1000)],
    votes: { last: 1.5, all: 1, scratch: -4 },
    says: '{perClassMedian} images a class can carry fine-tuning.',
    source: vtab,
  },
  {
    id: 'many',
    when: [perClass(1000)],
    votes: { last: 1, all: 2.5, scratch: -1 },
    says: '{perClassMedian} images a class let every layer train.',
    source: kornblith,
  },
  {
    id: 'earlier-best',
    when: [{ fact: 'earlierHolds', atLeast: 1 }],
    votes: { last: 2, all: 1.5, head: -1 },
    says:
      'An earlier layer does {earlierLead} better than the last, beyond chance: the top of the network is about ' +
      'other images than these.',
    source: yosinski,
  },
  {
    id: 'top-adds-little',
    when: [unlike, { fact: 'earlierHolds', below: 1 }],
    votes: { last: 1.5, all: 1, head: -1 },
    says:
      'The upper half of the network removes {upperRemoves} of the errors of the lower half; on images like the ' +
      'source’s it removes about half.',
    source: `${zeiler}; ${azizpour}`,
  },
  {
    // The earlier layer's accuracy was measured, what training would make of so few images was not.
    id: 'very-few-unlike',
    when: [unlike, { fact: 'perClassMedian', below: 20 }],
    votes: { embeddings: 2, last: -0.5, all: -2, scratch: -6 },
    says:
      '{perClassMedian} images a class are too few to train on, unlike the source’s as they are: take the ' +
      'embeddings from the layer that does best.',
    source: azizpour,
  },
  {
    id: 'few-unlike',
    when: [unlike, perClass(20, 100)],
    votes: { last: 1.5, embeddings: 0.5, all: -0.5, scratch: -5 },
    says:
      '{perClassMedian} images a class, unlike the source’s: the layers up to the best one are kept, those above ' +
      'it are trained, under augmentation.',
    source: `${yosinski}; ${vtab}`,
  },
  {
    id: 'enough-unlike',
    when: [unlike, { fact: 'rows', atLeast: 1000 }],
    votes: { all: 1 },
    says: '{rows} images unlike the source’s: sets of a thousand such images gained from training every layer.',
    source: vtab,
  },
  {
    id: 'top-fits',
    when: [{ fact: 'like', atLeast: 1 }],
    votes: { embeddings: 1, head: 0.5 },
    says:
      'The upper half of the network removes {upperRemoves} of the errors of the lower half, beyond chance: its ' +
      'own features fit these images.',
    source: `${zeiler}; ${yosinski}`,
  },
  {
    id: 'likeness-unknown',
    when: [notUnlike, { fact: 'like', below: 1 }, { fact: 'layers', atLeast: 2 }],
    votes: {},
    says:
      'Whether an earlier layer would do better ({earlierLead} here) or worse cannot be distinguished from chance: ' +
      'these images do not say whether they are like the source’s.',
    source: yosinski,
    caps: 'low',
  },
  {
    id: 'one-layer',
    when: [{ fact: 'layers', below: 2 }],
    votes: {},
    says: 'No earlier layer was measured, so these images do not say whether they are like the source’s.',
    source: yosinski,
    caps: 'medium',
  },
  {
    id: 'underfits',
    when: [
      { fact: 'probeTrain', below: 0.9 },
      { fact: 'errorLeft', atLeast: 0.1 },
    ],
    votes: { embeddings: -1, last: 2, all: 2 },
    says:
      'The probe cannot even fit its own training images ({probeTrain}): the frozen features lack what tells the ' +
      'classes apart.',
    source: kornblith,
  },
  {
    // A linear classifier that interpolates has this gap by itself; it argues against a larger one only where the
    // features fit.
    id: 'overfits',
    when: [notUnlike, { fact: 'gap', atLeast: 0.1 }, { fact: 'perClassMedian', below: 100 }],
    votes: { embeddings: 1, all: -1 },
    says:
      'The probe does {gap} better on its training images than on others: ' +
      'a larger model would learn them by heart.',
    source: yosinski,
  },
  {
    id: 'room-and-rows',
    when: [{ fact: 'errorLeft', atLeast: 0.1 }, perClass(100)],
    votes: { last: 2, all: 1.5 },
    says:
      '{errorLeft} of the error of guessing is left, and there are images enough to train on: tuned features ' +
      'usually close part of that.',
    source: kornblith,
  },
  {
    id: 'no-signal',
    when: [{ fact: 'errorLeft', atLeast: 0.95 }],
    votes: {},
    says:
      'The probe does hardly better than guessing ({probe} right): look first whether the labels can be seen in ' +
      'the images at all.',
    source: 'a probe that learns nothing is no evidence for any strategy',
    caps: 'low',
  },
  {
    // Fine-tuning's gains over a linear classifier on sets like the source's are 1 to 4 points (Kornblith 2019: Pets,
    // Flowers, CIFAR-10): an interval of twice 2 points cannot say whether there is one.
    id: 'imprecise',
    when: [
      { fact: 'standardError', atLeast: 0.02 },
      { fact: 'roomInErrors', atLeast: 1 },
    ],
    votes: {},
    says:
      'The probe gets {probe} right, known to ± {standardError} only: a strategy that is better by as much as ' +
      'fine-tuning usually gains would not show here.',
    source: kornblith,
    caps: 'medium',
  },
  {
    id: 'familiar',
    when: [notUnlike, { fact: 'entropy', below: 0.3 }],
    votes: { embeddings: 0.5 },
    says: 'The source classifier is sure about these images (entropy {entropy}): they look like its own.',
    source: 'weak evidence; Hendrycks and Gimpel 2017, arXiv 1610.02136',
  },
  {
    id: 'unfamiliar',
    when: [{ fact: 'entropy', atLeast: 0.6 }],
    votes: { last: 0.5, all: 0.5 },
    says: 'The source classifier is unsure about these images (entropy {entropy}): they look like nothing it knows.',
    source: 'weak evidence; Hendrycks and Gimpel 2017, arXiv 1610.02136',
  },
  {
    id: 'far',
    when: [{ fact: 'frechet', atLeast: 1 }],
    votes: { last: 0.5, all: 0.5 },
    says: 'The embeddings lie far from those of the source’s images ({frechet} of its variance).',
    source: 'weak evidence; Heusel et al. 2017, arXiv 1706.08500',
  },
  {
    id: 'near',
    when: [notUnlike, { fact: 'frechet', below: 0.3 }],
    votes: { embeddings: 0.5 },
    says: 'The embeddings lie among those of the source’s images ({frechet} of its variance).',
    source: 'weak evidence; Heusel et al. 2017, arXiv 1706.08500',
  },
  {
    id: 'from-scratch',
    when: [unlike, { fact: 'rows', atLeast: 100_000 }, { fact: 'earlierLead', atLeast: 0.05 }],
    votes: { scratch: 3, all: 1 },
    says: '{rows} images unlike the source: pretrained weights may no longer matter.',
    source: vtab,
  },
  {
    id: 'never-from-scratch',
    when: [{ fact: 'rows', below: 100_000 }],
    votes: { scratch: -4 },
    says: '{rows} images are too few to train a network from random weights.',
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

/** How `all` is begun, and why. */
export const beginning = {
  all: {
    strategy: 'lp-ft',
    says:
      'The new head is trained first, then every layer: a head that starts from nothing would distort the ' +
      'pretrained features.',
    source: kumar,
  },
} as const

/** The facts with another accuracy of the probe, and what follows from it. */
const withProbe = (facts: Facts, probe: number): Facts => {
  const right = Math.min(1, Math.max(0, probe))
  return {
    ...facts,
    probe: right,
    roomInErrors: (1 - right) / Math.max(1e-9, facts.standardError),
    gap: Math.max(0, facts.gap + facts.probe - right),
    errorLeft: Math.min(1, (facts.errorLeft * (1 - right)) / Math.max(1e-9, 1 - facts.probe)),
  }
}

/** Another world in which the verdict is asked for again. */
export interface Hypothesis {
  readonly says: string
  readonly change: (facts: Facts) => Facts
  /** It lies inside what the measurements leave open: a verdict that it turns is not sure. */
  readonly within?: true | undefined
}

/** Changes to the data whose effect on the verdict is said. */
export const hypotheses: readonly Hypothesis[] = [
  {
    says: 'a probe at the lower end of its interval (two standard errors)',
    change: (facts) => withProbe(facts, facts.probe - 2 * facts.standardError),
    within: true,
  },
  {
    says: 'a probe at the upper end of its interval (two standard errors)',
    change: (facts) => withProbe(facts, facts.probe + 2 * facts.standardError),
    within: true,
  },
  {
    says: 'four times as many images',
    change: (facts) => ({
      ...facts,
      rows: 4 * facts.rows,
      perClassMedian: 4 * facts.perClassMedian,
      allHours: facts.allHours === null ? null : 4 * facts.allHours,
    }),
  },
  {
    says: 'a quarter of the images',
    change: (facts) => ({
      ...facts,
      rows: facts.rows / 4,
      perClassMedian: facts.perClassMedian / 4,
      allHours: facts.allHours === null ? null : facts.allHours / 4,
    }),
  },
  {
    says: 'a probe that gets nearly everything right',
    change: (facts) => ({ ...withProbe(facts, 0.98), probeTrain: 1, gap: 0.02, errorLeft: 0.02 }),
  },
  {
    says: 'a probe that gets far less right even on its training images',
    change: (facts) => ({
      ...withProbe(facts, facts.probe / 2),
      probeTrain: 0.7,
      gap: Math.max(0, 0.7 - facts.probe / 2),
      errorLeft: 0.6,
    }),
  },
  {
    says: 'an earlier layer that does clearly better',
    change: (facts) => ({ ...facts, earlierLead: 0.05, earlierHolds: 1, like: 0, unlike: 1 }),
  },
  {
    says: 'a last layer that does clearly better than the earlier ones',
    change: (facts) => ({ ...facts, earlierLead: 0, earlierHolds: 0, upperRemoves: 0.5, like: 1, unlike: 0 }),
  },
  { says: 'a machine ten times as fast', change: (facts) => ({ ...facts, allHours: (facts.allHours ?? 0) / 10 }) },
]

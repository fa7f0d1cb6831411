import { Fc7Error } from '../../base/errors.js'
import { createRandom } from '../../base/random.js'
import type { Items } from '../../evaluation/plan/items.js'
import type { Fold } from '../../evaluation/plan/splitters.js'
import { itemSample, probeFolds } from './probe.js'

/** Measurements stay within about a minute on two cores. */
const maxImages = 3000
const maxClasses = 100
/**
 * Few images are divided into folds several times over: one division alone decides too much there, and fits on few rows
 * cost little.
 */
const repeatsFor = (images: number): number => Math.max(1, Math.min(5, Math.floor(1200 / images)))
/** Shares of the training images that the learning curve is measured at; the whole comes from the probe itself. */
export const curveFractions = [0.1, 0.2, 0.4, 0.8] as const

/** The split that results will be reported on, which advice must not see: test, else val beside train. */
function reportedSplit({ splits }: Items): 'test' | 'val' | null {
  if (splits.includes('test')) return 'test'
  return splits.includes('val') && splits.includes('train') ? 'val' : null
}

/** Labelled images that may be looked at. */
export const openItems = (items: Items): number[] => {
  const reported = reportedSplit(items)
  return [...items.ids.keys()].filter((item) => reported === null || items.splits[item] !== reported)
}

/** How many of the given items each class has; classes without one are not there. */
export function classCounts(items: Items, of: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>()
  for (const item of of) counts.set(items.y[item]!, (counts.get(items.y[item]!) ?? 0) + 1)
  return counts
}

/**
 * What will be measured, before anything is: images and classes used, folds, number of fits.
 *
 * @throws Fc7Error ADVICE_TOO_FEW where there is too little to measure anything on, and what to do then; NO_LABELS,
 * ONE_CLASS
 */
export function planAdvice(
  items: Items,
  layers: number,
  seed: number,
): {
  readonly sample: readonly number[]
  /** Of all repeats. */
  readonly folds: readonly Fold[]
  /** Those of the learning curve: one repeat's. */
  readonly curveFolds: readonly Fold[]
  readonly fits: number
  readonly notes: readonly string[]
} {
  const notes: string[] = []
  const open = openItems(items)
  if (open.length < items.ids.length)
    notes.push(`The ${items.ids.length - open.length} images of the split ${reportedSplit(items)} were not looked at.`)
  const counts = classCounts(items, open)
  const usable = [...counts].filter(([, count]) => count >= 2).map(([k]) => k)
  if (usable.length < 2 || open.length < 10) {
    throw new Fc7Error(
      'ADVICE_TOO_FEW',
      `${open.length} labelled images, ${usable.length} ${usable.length === 1 ? 'class' : 'classes'} with two or ` +
        'more: too few to measure anything on.',
      {
        hint:
          'Collect at least 10 images and 2 a class; until then frozen embeddings with `--trainer nearest-mean` ' +
          'are the safest choice.',
      },
    )
  }
  let kept = usable
  if (usable.length > maxClasses) {
    kept = createRandom(seed).fork('advice classes').shuffled(usable).slice(0, maxClasses)
    notes.push(
      `Measured on ${maxClasses} of ${usable.length} classes, drawn by seed; with all of them accuracies are lower.`,
    )
  }
  if (usable.length < counts.size)
    notes.push(`${counts.size - usable.length} classes have a single image and were left out.`)
  const among = new Set(kept)
  const pool = open.filter((item) => among.has(items.y[item]!))
  const sample = itemSample(items, pool, maxImages, seed)
  if (sample.length < pool.length)
    notes.push(`Measured on ${sample.length} of ${pool.length} images, classes in proportion, drawn by seed.`)
  const units = new Set(sample.map((item) => items.groups[item] ?? `item ${item}`)).size
  const folds = probeFolds(items, sample, {
    folds: Math.max(2, Math.min(5, units, Math.floor(sample.length / 5))),
    repeats: repeatsFor(sample.length),
    seed,
  })
  if (folds.length === 0)
    throw new Fc7Error('ADVICE_TOO_FEW', 'The groups leave no fold with two classes to train on.', {
      hint: 'Collect groups that hold more than one class, or leave --group-from out.',
    })
  const curveFolds = folds.filter(({ repeat }) => repeat === 0)
  return {
    sample,
    folds,
    curveFolds,
    fits: folds.length * layers + curveFolds.length * curveFractions.length,
    notes,
  }
}

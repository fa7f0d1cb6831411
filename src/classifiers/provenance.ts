import type { Pooling } from '../backbones/extraction.js'
import { Fc7Error } from '../base/errors.js'
import type { Recipe } from '../images/recipe/recipe.js'
import type { Params, ParamValue } from '../trainers/contract.js'

/** The parts of an extraction's plan that decide values. */
export interface ExtractionFacts {
  /** The network's own name of the layer. */
  readonly tensor: string
  readonly pool: Pooling
  readonly resize: 'exact' | 'fast'
  readonly orient: boolean
  readonly recipe: { readonly name: string; readonly steps: Recipe }
}

/** Which embeddings a classifier was made of, and so which it accepts. */
export interface Provenance {
  /** Backbone id, or the name given to imported embeddings. */
  readonly backbone: string
  readonly backboneSha256?: string | undefined
  readonly layer: string
  /** The recipe in one line; two recipes differ if their texts differ. */
  readonly recipe: string
  /** How images become these embeddings, where fc7 made them: what `fc7 bundle` builds its graph from. */
  readonly extraction?: ExtractionFacts | undefined
  /** Hash of the store's plan, for the record: another store of the same backbone, layer and recipe is accepted. */
  readonly store?: string | undefined
  /** sha256 of the file that the rows' weights came from, for the record. */
  readonly weights?: string | undefined
}

/** The search that chose the hyper-parameters. */
export interface Tuning {
  readonly search: 'grid' | 'random'
  readonly innerFolds: number
  readonly metric: string
  /** Every candidate in the order tried, with its score on each inner fold (null where undefined) and their mean. */
  readonly trials: readonly {
    readonly params: readonly (readonly [string, ParamValue])[]
    readonly scores: readonly (number | null)[]
    readonly mean: number | null
  }[]
}

/** What `classifier.json` says besides the model itself. */
export interface ClassifierInfo {
  readonly trainer: string
  readonly params: Params
  /** How they were searched for, if they were. */
  readonly tuning?: Tuning | undefined
  readonly preprocess: string
  readonly classWeight: 'balanced' | 'none'
  readonly seed: number
  readonly classes: readonly string[]
  /** Indices into `classes` of those that had training rows: the model's own columns. */
  readonly fitted: readonly number[]
  readonly dim: number
  readonly provenance: Provenance
  /** Ids of the training rows. */
  readonly trainedOn: readonly string[]
  /** sha256 of the training rows' images, as far as the store knew them. */
  readonly trainedImages: readonly string[]
}

/**
 * Refuses embeddings of another backbone, layer or recipe than the classifier's.
 *
 * @throws Fc7Error CLASSIFIER_MISMATCH naming what differs
 */
export function checkProvenance(info: ClassifierInfo, found: Provenance & { readonly dim: number }): void {
  const own = info.provenance
  const differences: [string, string, string][] = []
  if (own.backbone !== found.backbone) differences.push(['backbone', own.backbone, found.backbone])
  else if (own.backboneSha256 && found.backboneSha256 && own.backboneSha256 !== found.backboneSha256)
    differences.push(['backbone file', own.backboneSha256.slice(0, 12), found.backboneSha256.slice(0, 12)])
  if (own.layer !== found.layer) differences.push(['layer', own.layer, found.layer])
  if (own.recipe !== found.recipe) differences.push(['recipe', own.recipe, found.recipe])
  if (differences.length === 0 && info.dim !== found.dim)
    differences.push(['width', String(info.dim), String(found.dim)])
  const first = differences[0]
  if (!first) return
  throw new Fc7Error(
    'CLASSIFIER_MISMATCH',
    `The classifier was trained on ${first[0]} ${first[1]}, these embeddings come from ${first[2]}.`,
    { hint: `Extract with ${own.backbone}, layer ${own.layer}, recipe ${own.recipe}.` },
  )
}

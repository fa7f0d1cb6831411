import { Fc7Error } from '../../base/errors.js'
import { sha256 } from '../../base/files.js'
import type { EmbeddingTable } from '../../embeddings/store/table.js'

/**
 * The labelled images of a table. Folds are made of images, never of rows: an image and its augmented views are one
 * item, its views go into training with it, and only the image itself is ever tested on.
 */
export interface Items {
  readonly ids: readonly string[]
  readonly paths: readonly string[]
  readonly labels: readonly string[]
  readonly splits: readonly ('train' | 'val' | 'test' | null)[]
  readonly groups: readonly (string | null)[]
  /** `[items]`, index into `classes`. */
  readonly y: Int32Array
  /** Those of the table that have a labelled image, by first appearance. */
  readonly classes: readonly string[]
  /** `[items]`, row of the image itself. */
  readonly rows: Int32Array
  /** `[items]`, rows of its augmented views. */
  readonly views: readonly (readonly number[])[]
  /** Images left out because they have no label. */
  readonly unlabelled: number
  /** Views left out because their image is not among the items. */
  readonly strayViews: number
}

/**
 * The image's id of a view: the id itself, without a trailing mark of the view's number such as `#2`, `@2` or `#v2`.
 */
export function imageOf(id: string, view: number): string {
  if (view === 0) return id
  for (const mark of [`#v${view}`, `@v${view}`, `#${view}`, `@${view}`])
    if (id.endsWith(mark)) return id.slice(0, -mark.length)
  return id
}

/**
 * Items of a table, in its order.
 *
 * @throws Fc7Error DUPLICATE_ID when two images have one id, NO_LABELS, ONE_CLASS
 */
export function itemsOf(table: EmbeddingTable): Items {
  const place = new Map<string, number>()
  const seen = new Set<string>()
  const rows: number[] = []
  let unlabelled = 0
  for (let row = 0; row < table.rows; row++) {
    if (table.views[row] !== 0) continue
    const id = table.ids[row]!
    if (seen.has(id))
      throw new Fc7Error('DUPLICATE_ID', `Two images have the id "${id}".`, {
        hint: 'Give every row an id of its own; otherwise nobody can tell training rows from test rows.',
      })
    seen.add(id)
    if (table.labels[row] === null) {
      unlabelled++
      continue
    }
    place.set(id, rows.length)
    rows.push(row)
  }
  const views: number[][] = rows.map(() => [])
  let strayViews = 0
  for (let row = 0; row < table.rows; row++) {
    const view = table.views[row]!
    if (view === 0) continue
    const image = imageOf(table.ids[row]!, view)
    const item = place.get(image)
    if (item !== undefined) views[item]!.push(row)
    // Views of an image without a label are left out with it.
    else if (!seen.has(image)) strayViews++
  }
  const labels = rows.map((row) => table.labels[row]!)
  const known = new Set(labels)
  const classes = [...table.classes.filter((name) => known.delete(name)), ...known]
  if (rows.length === 0)
    throw new Fc7Error('NO_LABELS', 'No image has a label, so there is nothing to compare trainers on.', {
      hint: 'Sort the images into one folder for each class, or give a list with labels, and extract again.',
    })
  if (classes.length < 2)
    throw new Fc7Error('ONE_CLASS', `All ${rows.length} labelled images are "${classes[0]}".`, {
      hint: 'A comparison needs at least two classes; check the folders, or --layout labels|splits.',
    })
  const index = new Map(classes.map((name, k) => [name, k]))
  const members = new Map<string | null, number>()
  for (const row of rows) members.set(table.groups[row]!, (members.get(table.groups[row]!) ?? 0) + 1)
  // A store with views groups each image with them under its own id: for images that is no group.
  const groupOf = (row: number): string | null => {
    const group = table.groups[row]!
    return group === table.ids[row] && members.get(group) === 1 ? null : group
  }
  return {
    ids: rows.map((row) => table.ids[row]!),
    paths: rows.map((row) => table.paths[row]!),
    labels,
    splits: rows.map((row) => table.splits[row]!),
    groups: rows.map(groupOf),
    y: Int32Array.from(labels, (label) => index.get(label)!),
    classes,
    rows: Int32Array.from(rows),
    views,
    unlabelled,
    strayViews,
  }
}

/** sha256 over id, label, split and group of every item: tables with one fingerprint are compared pairwise. */
export const itemsFingerprint = (items: Items): string =>
  sha256(JSON.stringify(items.ids.map((id, i) => [id, items.labels[i], items.splits[i], items.groups[i]])))

/** Rows to train on for the given items: each image and all its views. */
export const trainingRows = (items: Items, of: readonly number[]): number[] =>
  of.flatMap((item) => [items.rows[item]!, ...items.views[item]!])

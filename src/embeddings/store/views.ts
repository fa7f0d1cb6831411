import { type AugmentationPlan, planViews, type TestViews, testViewPlans } from '../../images/augment/augment-plan.js'
import type { ExtractionItem } from './job.js'
import type { ExtractionPlan } from './plan.js'

/** One run of an image through the network: the image by its recipe, or a drawn view of it. */
export interface Unit<Source = unknown> {
  readonly item: ExtractionItem<Source>
  /** Row of the image: 0 is the image itself, 1… its augmented training views. */
  readonly view: number
  /** Absent: the image by its recipe. */
  readonly augmentation?: AugmentationPlan | undefined
  /** First and last unit of the image. */
  readonly first: boolean
  readonly last: boolean
}

/** The id of a row: the image's own, with `#v1`, `#v2` … for its views. */
export const rowId = (id: string, view: number): string => (view === 0 ? id : `${id}#v${view}`)

/** The image's id of a row's: {@link rowId} undone; an id without the mark stays. */
export function imageId(row: string, view: number): string {
  const mark = `#v${view}`
  return view > 0 && row.endsWith(mark) ? row.slice(0, -mark.length) : row
}

/** Images that nothing is trained on get no augmented views. */
const isTested = (split: string | null): boolean => split === 'val' || split === 'test'

/** Rows that an image of this split becomes. */
export const rowsOf = (plan: Pick<ExtractionPlan, 'views'>, split: string | null): number =>
  isTested(split) ? 1 : plan.views

/**
 * What has to be computed for one image, in the order of its rows; pure, so the same plan and image give the same views
 * whatever else is extracted. With test views, row 0 is the mean over several units, except for images of a train
 * split.
 */
export function unitsOf<Source>(plan: ExtractionPlan, item: ExtractionItem<Source>): Unit<Source>[] {
  const averaged = plan.testViews !== undefined && item.split !== 'train'
  const itself: readonly (AugmentationPlan | undefined)[] = averaged ? testViewPlans(plan.testViews!) : [undefined]
  const views = rowsOf(plan, item.split) > 1 ? planViews(plan.seed, item.id, plan.views).slice(1) : []
  const all = [
    ...itself.map((augmentation) => ({ view: 0, augmentation })),
    ...views.map((augmentation, i) => ({ view: i + 1, augmentation })),
  ]
  return all.map(({ view, augmentation }, i) => ({
    item,
    view,
    augmentation,
    first: i === 0,
    last: i === all.length - 1,
  }))
}

/** Rows that a plan makes if every image can be read, from the data set's counts by split. */
export function plannedRows(plan: ExtractionPlan, splits: ReadonlyMap<string, number>): number {
  const tested = (splits.get('val') ?? 0) + (splits.get('test') ?? 0)
  return plan.dataset.items + (plan.views - 1) * (plan.dataset.items - tested)
}

export type { TestViews }

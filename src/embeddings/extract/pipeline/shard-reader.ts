import type { ExtractionItem, ExtractionJob } from '../../store/job.js'
import { shardRange } from '../../store/plan.js'

/** An item of a shard that has to be computed. */
export interface ShardItem<Source> {
  readonly shard: number
  readonly item: ExtractionItem<Source>
  /** Whether it is its shard's last. */
  readonly last: boolean
}

/** Reads the data set once, in plan order, and passes on the items of the shards in `todo`, until `stopped()`. */
export async function* readShards<Source>(
  { plan, items }: Pick<ExtractionJob<Source>, 'plan' | 'items'>,
  todo: ReadonlySet<number>,
  stopped: () => boolean | undefined,
): AsyncGenerator<ShardItem<Source>> {
  let index = 0
  let shard = 0
  for await (const item of items()) {
    if (stopped() || index >= plan.dataset.items) return
    index++
    const last = index === shardRange(plan, shard).end
    if (todo.has(shard)) yield { shard, item, last }
    if (last) shard++
  }
}

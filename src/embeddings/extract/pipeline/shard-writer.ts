import { commitShard, type FinishedBatch } from '../../store/commit.js'
import type { ExtractionPlan } from '../../store/plan.js'
import { Slots } from './slots.js'
import type { Stages } from './stages.js'

export interface ShardWriterOptions {
  readonly out: string
  readonly plan: ExtractionPlan
  readonly planHash: string
  readonly stages: Stages
  /** Shards begun and not yet written: the limit by which a slow disk holds the rest up. */
  readonly maxShards: number
}

/** Commits shards once their batches are computed, one at a time; remembers the first failure. */
export class ShardWriter {
  readonly #options: ShardWriterOptions
  readonly #disk = new Slots([0])
  readonly #shards: Slots<number>
  readonly #running = new Set<Promise<void>>()
  #slot: number | undefined
  #failure: { readonly error: unknown } | undefined

  constructor(options: ShardWriterOptions) {
    this.#options = options
    this.#shards = new Slots(Array.from({ length: options.maxShards }, (_, i) => i))
  }

  get failed(): boolean {
    return this.#failure !== undefined
  }

  /** Waits until one more shard may be begun; does nothing within a shard. */
  async begin(): Promise<void> {
    this.#slot ??= await this.#shards.acquire()
  }

  /** Commits the shard that was begun, in the background. */
  end(shard: number, batches: readonly Promise<FinishedBatch>[]): void {
    const slot = this.#slot!
    this.#slot = undefined
    const work: Promise<void> = this.#commit(shard, batches)
      .finally(() => this.#shards.release(slot))
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .finally(() => this.#running.delete(work))
    this.#running.add(work)
  }

  /** Resolves when every shard that was ended is on disk. @throws the first failure */
  async drain(): Promise<void> {
    await Promise.all(this.#running)
    if (this.#failure) throw this.#failure.error
  }

  async #commit(shard: number, batches: readonly Promise<FinishedBatch>[]): Promise<void> {
    const finished = await Promise.all(batches)
    const { out, plan, planHash, stages } = this.#options
    await this.#disk.with(() =>
      stages.during('disk', () => commitShard({ out, plan, planHash, shard, batches: finished })),
    )
  }
}

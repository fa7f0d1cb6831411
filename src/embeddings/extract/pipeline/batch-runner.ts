import type { RunResult } from '../../../runtime/inference-requests.js'
import type { FinishedBatch } from '../../store/commit.js'
import type { Decoded, ExtractionJob } from '../../store/job.js'
import type { Unit } from '../../store/views.js'
import { Slots } from './slots.js'
import type { Stages } from './stages.js'
import type { ExtractionTally } from './tally.js'

/** What the stages of an extraction share: the job, and who measures it. */
export interface ExtractionContext<Source> {
  readonly job: ExtractionJob<Source>
  readonly stages: Stages
  readonly tally: ExtractionTally
  /** Batches being decoded or computed at once: as many pixel buffers there are. */
  readonly lookAhead: number
}

/** Gathers units into batches; each is decoded into a buffer of its own and then run through the network. */
export class BatchRunner<Source> {
  readonly #context: ExtractionContext<Source>
  readonly #bytesPerImage: number
  readonly #buffers: Slots<SharedArrayBuffer>
  #waiting: Unit<Source>[] = []
  #started: Promise<FinishedBatch>[] = []

  constructor(context: ExtractionContext<Source>) {
    const { job, lookAhead } = context
    this.#context = context
    this.#bytesPerImage = job.width * job.height * 3
    const bufferBytes = job.batch * this.#bytesPerImage
    this.#buffers = new Slots(Array.from({ length: lookAhead }, () => new SharedArrayBuffer(bufferBytes)))
  }

  /** Adds units and starts every batch that they fill; waits while no buffer is free. */
  async add(units: readonly Unit<Source>[]): Promise<void> {
    const { tuner, batch } = this.#context.job
    for (const unit of units) {
      this.#waiting.push(unit)
      if (this.#waiting.length >= (tuner?.size ?? batch)) await this.#start()
    }
  }

  /**
   * Starts what is left as a batch, so that none reaches into the next shard.
   * @returns the shard's batches, in order
   */
  async endShard(): Promise<readonly Promise<FinishedBatch>[]> {
    if (this.#waiting.length > 0) await this.#start()
    const batches = this.#started
    this.#started = []
    return batches
  }

  /** Resolves when the batches of the shard that was not ended have settled; their results are dropped. */
  async abandonShard(): Promise<void> {
    await Promise.allSettled(this.#started)
  }

  async #start(): Promise<void> {
    const units = this.#waiting
    this.#waiting = []
    const buffer = await this.#buffers.acquire()
    const batch = this.#run(units, buffer).finally(() => this.#buffers.release(buffer))
    // Its failure is reported through the shard that holds it.
    batch.catch(() => {})
    this.#started.push(batch)
  }

  async #run(units: readonly Unit<Source>[], buffer: SharedArrayBuffer): Promise<FinishedBatch> {
    const { job, stages, tally } = this.#context
    const decoded = await this.#decode(units, buffer)
    const result = await this.#infer(decoded, buffer)
    job.tuner?.ran(units.length, result.cpuMilliseconds || result.milliseconds)
    job.onBatch?.(stages.waitedMs.decode)
    const items = units.map((unit, i) => ({ ...unit, decoded: decoded[i]! }))
    tally.addBatch(items)
    return { items, result }
  }

  #decode(units: readonly Unit<Source>[], buffer: SharedArrayBuffer): Promise<Decoded[]> {
    const { job, stages } = this.#context
    return Promise.all(
      units.map(({ item, view, augmentation, first }, i) => {
        const pose = view > 0 || augmentation ? { thumbnail: first, augmentation } : undefined
        return stages.during('decode', () => job.decoder.decode(item.source, buffer, i * this.#bytesPerImage, pose))
      }),
    )
  }

  /**
   * A failed image leaves old pixels in its place; its row is computed and dropped, which is rare and keeps rows in
   * order.
   */
  async #infer(decoded: readonly Decoded[], buffer: SharedArrayBuffer): Promise<RunResult> {
    if (decoded.every((image) => !image.ok)) return { outputs: [], milliseconds: 0 }
    const { job, stages } = this.#context
    return stages.during('inference', () => job.inference.run(buffer, [decoded.length, job.height, job.width, 3]))
  }
}

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readTensors, type State, type Weights, writeState, writeTensors } from './checkpoint.js'
import type { PhaseRun } from './phase-run.js'
import { evaluate } from './select.js'

export const noSums: State['sums'] = { loss: 0, correct: 0, rows: 0, norms: [] }

/** A phase as far as it is on disk: the state of its last checkpoint, and the weights of its best epoch. */
export class PhaseCheckpoint {
  readonly #run: PhaseRun
  #state: State
  #best: Weights

  private constructor(run: PhaseRun, state: State, best: Weights) {
    this.#run = run
    this.#state = state
    this.#best = best
  }

  /** Takes a phase up where its checkpoint stands, or begins it. @throws Fc7Error CHECKPOINT_BROKEN, FINETUNE_SPLIT */
  static open(run: PhaseRun): Promise<PhaseCheckpoint> {
    return run.state ? PhaseCheckpoint.#resume(run, run.state) : PhaseCheckpoint.#begin(run)
  }

  static async #resume(run: PhaseRun, state: State): Promise<PhaseCheckpoint> {
    const { thread, folder } = run
    await thread.ask('restore', { values: await readTensors(folder, state.tensors), steps: state.steps })
    const best = state.bestTensors
      ? await readTensors(folder, state.bestTensors)
      : await thread.ask('snapshot', { state: false })
    return new PhaseCheckpoint(run, state, best)
  }

  static async #begin(run: PhaseRun): Promise<PhaseCheckpoint> {
    const before = await evaluate(run)
    const best = await run.thread.ask('snapshot', { state: false })
    // The optimizer's state is zeros, which a restored run begins with by itself.
    const tensors = await writeTensors(run.folder, `phase${run.number}-0`, best)
    const state: State = {
      format: 1,
      plan: run.planHash,
      phase: run.number,
      epoch: 0,
      step: 0,
      steps: 0,
      sums: noSums,
      // What a later phase begins with must be beaten; a new layer's chance result need not be kept.
      best: run.number > 0 ? { epoch: 0, ...before } : null,
      firstLoss: null,
      history: [...run.history],
      tensors,
      bestTensors: tensors,
    }
    await writeState(run.folder, state)
    return new PhaseCheckpoint(run, state, best)
  }

  get state(): State {
    return this.#state
  }

  /** Weights of the best epoch so far. */
  get best(): Weights {
    return this.#best
  }

  /** Writes the weights of now with what has changed in the state, then removes the tensors that it no longer names. */
  async write(changes: Partial<Omit<State, 'tensors'>>): Promise<void> {
    const { folder, number, thread } = this.#run
    const old = this.#state
    const next = { ...old, ...changes }
    const values = await thread.ask('snapshot', { state: true })
    const tensors = await writeTensors(folder, `phase${number}-${next.steps}e${next.epoch}`, values)
    this.#state = { ...next, tensors }
    await writeState(folder, this.#state)
    const kept = new Set([tensors.file, next.bestTensors?.file])
    for (const file of [old.tensors.file, old.bestTensors?.file])
      if (file !== undefined && !kept.has(file)) await rm(join(folder, file), { force: true })
  }

  /** Writes the end of an epoch; its weights are kept if they are the best so far. */
  async endEpoch(
    selected: { readonly loss: number; readonly accuracy: number },
    changes: Pick<State, 'epoch' | 'steps' | 'firstLoss' | 'history'>,
  ): Promise<void> {
    let { best, bestTensors } = this.#state
    if (best === null || selected.loss < best.loss) {
      best = { epoch: changes.epoch, ...selected }
      this.#best = await this.#run.thread.ask('snapshot', { state: false })
      bestTensors = await writeTensors(this.#run.folder, `best${this.#run.number}-${changes.epoch}`, this.#best)
    }
    await this.write({ ...changes, step: 0, sums: noSums, best, bestTensors })
  }
}

import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Fc7Error } from '../../base/errors.js'
import { readState, type State } from '../train/checkpoint.js'
import { recordName } from './record.js'

export interface FinetuneRun {
  readonly out: string
  readonly threads?: number | undefined
  readonly decodeThreads?: number | undefined
  readonly force?: boolean | undefined
  /** Steps between two checkpoints within an epoch; 0 for none. Default 200. */
  readonly checkpointSteps?: number | undefined
  /** Name of the tuned network; default that of its folder. */
  readonly id?: string | undefined
  /** Where the network is made known under its name (`--model <id>`); left out, it is used by its path. */
  readonly cacheFolder?: string | undefined
  /** Leaves the frozen activations in place when training is over. */
  readonly keepFrozen?: boolean | undefined
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
/** What a run leaves in its folder; `--force` removes these names and no others. */
const ownNames = [
  'plan.json',
  'log.jsonl',
  'curves.html',
  'failures.jsonl',
  'trained-on.json',
  'model.onnx',
  'model.onnx.card.json',
  recordName,
  'classifier',
  'work',
]

/** Folder of graphs, checkpoints and frozen activations, removed when training is over. */
export const workFolder = ({ out }: Pick<FinetuneRun, 'out'>): string => join(out, 'work')

/**
 * Makes the folder of a run, and begins again under `force`.
 *
 * @returns the state of a run that was stopped there
 * @throws Fc7Error FINETUNE_DONE, FINETUNE_TAKEN of a folder that holds something else; those of {@link readState}
 */
export async function openFolder(run: FinetuneRun, planHash: string): Promise<State | undefined> {
  const work = workFolder(run)
  if (run.force) for (const name of ownNames) await rm(join(run.out, name), { recursive: true, force: true })
  if (await exists(join(run.out, recordName))) {
    throw new Fc7Error('FINETUNE_DONE', `${run.out} holds a training that is finished.`, {
      hint: 'Give another --out, or --force to train again.',
    })
  }
  const state = await readState(work, planHash)
  if (!state && (await exists(run.out))) {
    const others = (await readdir(run.out)).filter((name) => !ownNames.includes(name) && !name.startsWith('.'))
    if (others.length > 0) {
      throw new Fc7Error('FINETUNE_TAKEN', `${run.out} is not empty: it holds ${others[0]}.`, {
        hint: 'Give a new folder as --out.',
      })
    }
  }
  await mkdir(work, { recursive: true })
  return state
}

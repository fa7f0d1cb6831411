import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic, writeJsonAtomic } from '../../base/files.js'
import { versions } from '../../base/versions.js'
import type { PreparedFinetune } from '../plan/prepare.js'
import type { EpochRecord, State, Weights } from '../train/checkpoint.js'
import type { Images } from '../train/images.js'
import { type FinetuneRun, workFolder } from './folder.js'
import { type Measurement, measure } from './measure.js'
import { recordName } from './record.js'
import { registerTuned, tunedId } from './register.js'
import { writeBackbone } from './write-backbone.js'

export interface FinetuneSummary {
  readonly out: string
  readonly model: string
  readonly id: string
  /** Whether `--model <id>` means this network; otherwise another one has that name, or no cache folder was given. */
  readonly known: boolean
  readonly sha256: string
  readonly accuracy: number
  readonly correct: number
  readonly reported: number
  readonly failures: number
  readonly bestEpoch: number
  readonly history: readonly EpochRecord[]
  readonly seconds: number
}

/** What training left to finish with. */
export interface Trained {
  readonly images: Images
  /** Weights of the best epoch. */
  readonly best: Weights
  readonly threads: number
  readonly state: State
  /** When the run began, in milliseconds of `performance.now()`. */
  readonly started: number
  readonly log: (line: Readonly<Record<string, unknown>>) => Promise<void>
  readonly orient: boolean
}

/** Decodes the images that a resumed run has not seen: their hashes belong into the list of what was trained on. */
async function hashUnseen({ items }: PreparedFinetune, images: Images, seen: readonly number[]): Promise<void> {
  const missing = seen.filter((i) => !images.hashes.has(items[i]!.id) && !images.failures.has(items[i]!.id))
  for (let from = 0; from < missing.length; from += 16) await images.rows(missing.slice(from, from + 16), undefined)
}

/** Writes the failures and the record that says the run is finished. */
async function writeRecord(
  { plan, planHash, classes }: PreparedFinetune,
  { out }: FinetuneRun,
  { images, state }: Trained,
  { backbone, measured }: { readonly backbone: { id: string; sha256: string }; readonly measured: Measurement },
): Promise<void> {
  const failures = [...images.failures.values()]
  const lines = failures.map((failure) => `${JSON.stringify(failure)}\n`)
  await writeFileAtomic(join(out, 'failures.jsonl'), lines.join(''))
  const { rows, correct, confusion, predictions } = measured
  await writeJsonAtomic(join(out, recordName), {
    format: 1,
    kind: 'fc7-finetune',
    plan: planHash,
    backbone,
    best: state.best,
    history: state.history,
    report: { source: plan.images.sources.report, rows, correct, accuracy: accuracyOf(measured), classes, confusion },
    predictions,
    failures: failures.length,
    versions: versions(),
  })
}

const accuracyOf = ({ correct, rows }: Measurement): number => correct / Math.max(1, rows)

/** Measures the tuned network on the images kept for the report, and writes it as a backbone with its record. */
export async function finish(prepared: PreparedFinetune, run: FinetuneRun, trained: Trained): Promise<FinetuneSummary> {
  const { roles, items } = prepared
  const { images, best, state, threads, orient } = trained
  const work = workFolder(run)
  const seen = [...roles.train, ...roles.select]
  await hashUnseen(prepared, images, seen)
  const measured = await measure(prepared, { images, weights: best, work, threads })
  const imagesOf = (list: readonly number[]) => ({
    ids: list.map((i) => items[i]!.id),
    images: [...new Set(list.flatMap((i) => images.hashes.get(items[i]!.id) ?? []))],
  })
  const written = await writeBackbone(prepared, {
    out: run.out,
    id: tunedId(run),
    weights: best,
    trainedOn: imagesOf(seen),
    fitted: imagesOf(roles.train),
    epoch: state.best?.epoch ?? 0,
    orient,
  })
  const known = await registerTuned(written.card, run)
  const { id, sha256, model } = written
  await writeRecord(prepared, run, trained, { backbone: { id, sha256 }, measured })
  const accuracy = accuracyOf(measured)
  const seconds = (performance.now() - trained.started) / 1000
  await trained.log({ event: 'finished', accuracy, rows: measured.rows, seconds })
  if (!run.keepFrozen) await rm(work, { recursive: true, force: true })
  return {
    out: run.out,
    model,
    id,
    known,
    sha256,
    accuracy,
    correct: measured.correct,
    reported: measured.rows,
    failures: images.failures.size,
    bestEpoch: state.best?.epoch ?? 0,
    history: state.history,
    seconds,
  }
}

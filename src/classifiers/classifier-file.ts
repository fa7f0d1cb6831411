import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { Fc7Error, systemCode } from '../base/errors.js'
import { explainWriteError, syncFolder, temporaryName } from '../base/files.js'
import type { NamedTensor } from '../base/safetensors.js'
import { encodeSafetensors } from '../base/safetensors.js'
import type { ModelProto } from '../onnx/generated/onnx_pb.js'
import { writeModel } from '../onnx/write.js'
import type { Calibration } from '../trainers/calibration/calibration.js'
import type { Model } from '../trainers/contract.js'
import type { Preprocess } from '../trainers/preprocess/preprocess.js'
import type { ClassifierInfo } from './provenance.js'

export const jsonName = 'classifier.json'
export const weightsName = 'weights.safetensors'
export const onnxName = 'classifier.onnx'

/** The parts of a Classifier that a file holds. */
export interface Saveable {
  readonly info: ClassifierInfo
  readonly preprocess: Preprocess
  readonly model: Model
  readonly calibration?: Calibration | undefined
  readonly scoreKind: 'probability' | 'decision'
}

/** Where the old folder waits while the new one takes its name. */
export const previousName = (folder: string): string => join(dirname(folder), `.${basename(folder)}.previous`)

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/** A save that was killed between its two renames left the old folder under its waiting name: put it back. */
async function recover(folder: string): Promise<void> {
  const previous = previousName(folder)
  if (!(await exists(folder)) && (await exists(join(previous, jsonName)))) await rename(previous, folder)
}

async function writeSynced(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const handle = await open(path, 'wx')
  try {
    for (const part of parts) await handle.writeFile(part)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Writes a classifier as a folder of two files (docs/classifier.md), three with its ONNX form. The folder appears whole
 * under its name or not at all; an older classifier of that name is replaced only after the new one is on disk, and
 * anything else of that name is refused.
 *
 * @throws Fc7Error CLASSIFIER_OCCUPIED, or the write errors of base/files.ts
 */
export async function saveClassifier(classifier: Saveable, path: string, onnx?: ModelProto): Promise<void> {
  const folder = resolve(path)
  await recover(folder)
  const occupants = await readdir(folder).catch((error) => {
    if (systemCode(error) === 'ENOENT') return undefined
    throw explainWriteError(error, folder)
  })
  if (occupants && occupants.length > 0 && !occupants.includes(jsonName)) {
    throw new Fc7Error('CLASSIFIER_OCCUPIED', `${path} exists and is no classifier.`, {
      hint: 'Choose another --out; fc7 replaces only classifiers.',
    })
  }
  const { info } = classifier
  const model = classifier.model.save()
  const preprocess = classifier.preprocess.save()
  const calibration = classifier.calibration?.save()
  const tensors = new Map<string, NamedTensor>([
    ...[...model.tensors].map(([name, value]): [string, NamedTensor] => [`model.${name}`, value]),
    ...preprocess.tensors,
    ...(calibration?.tensors ?? []),
  ])
  const json = {
    format: 1,
    ...info,
    params: [...info.params],
    facts: classifier.model.facts,
    scoreKind: classifier.scoreKind,
    preprocessState: preprocess.config,
    calibration: calibration?.config ?? null,
    model: model.config,
  }
  const temporary = temporaryName(folder)
  const previous = previousName(folder)
  try {
    await mkdir(dirname(folder), { recursive: true })
    await mkdir(temporary)
    await writeSynced(join(temporary, weightsName), encodeSafetensors(tensors, { producer: 'fc7' }))
    await writeSynced(join(temporary, jsonName), [Buffer.from(`${JSON.stringify(json, null, 1)}\n`)])
    if (onnx) await writeModel(onnx, join(temporary, onnxName))
    const fitted = info.fitted.map((c) => info.classes[c]!)
    for (const [name, content] of classifier.model.files?.(fitted) ?? [])
      await writeSynced(join(temporary, name), [Buffer.from(content)])
    await syncFolder(temporary)
    await rm(previous, { recursive: true, force: true })
    if (occupants) await rename(folder, previous)
    await rename(temporary, folder)
    await syncFolder(dirname(folder))
    await rm(previous, { recursive: true, force: true })
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {})
    await recover(folder).catch(() => {})
    throw explainWriteError(error, folder)
  }
}

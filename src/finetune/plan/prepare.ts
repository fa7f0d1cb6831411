import { basename, resolve } from 'node:path'
import { type ResolvedBackbone, resolveBackbone } from '../../backbones/resolve.js'
import { Fc7Error } from '../../base/errors.js'
import { sha256 } from '../../base/files.js'
import { type Progress, silentProgress } from '../../base/progress.js'
import { createRandom } from '../../base/random.js'
import type { DatasetItem, DatasetOptions } from '../../datasets/contract.js'
import { createScan, datasetOptions, openDataset } from '../../datasets/open.js'
import { weightsOf } from '../../embeddings/extract/prepare.js'
import type { ModelProto } from '../../onnx/generated/onnx_pb.js'
import { readModel } from '../../onnx/read.js'
import { machineFacts } from '../../runtime/machine.js'
import { reinitialised } from './graphs.js'
import { buildHeaded } from './headed.js'
import type { HeadedNetwork } from './network.js'
import { type FinetuneOptions, parseOptions } from './options.js'
import { type FinetunePlan, planFinetune } from './plan.js'
import { assignRoles, classesOf, type Roles } from './splits.js'

export interface FinetuneRequest extends DatasetOptions {
  readonly source: string
  readonly model: string
  readonly recipe?: string | undefined
  readonly limit?: number | undefined
  readonly orient?: boolean | undefined
  /** As {@link FinetuneOptions}, checked here. */
  readonly options?: Readonly<Record<string, unknown>> | undefined
  readonly cacheFolder: string
  readonly offline?: boolean | undefined
  readonly progress?: Progress | undefined
  readonly signal?: AbortSignal | undefined
}

export interface PreparedFinetune {
  readonly plan: FinetunePlan
  readonly planHash: string
  readonly items: readonly DatasetItem[]
  readonly roles: Roles
  readonly classes: readonly string[]
  readonly backbone: ResolvedBackbone
  readonly model: ModelProto
  readonly network: HeadedNetwork
  readonly options: FinetuneOptions
}

/** Index of an image's class. */
export function labelOf({ classes, items }: Pick<PreparedFinetune, 'classes' | 'items'>): (image: number) => number {
  const index = new Map(classes.map((label, i) => [label, i]))
  return (image) => index.get(items[image]!.label!)!
}

/** Images to train on in each class. */
export function classCounts(prepared: Pick<PreparedFinetune, 'classes' | 'items' | 'roles'>): number[] {
  const counts = prepared.classes.map(() => 0)
  const label = labelOf(prepared)
  for (const image of prepared.roles.train) counts[label(image)]!++
  return counts
}

/**
 * Looks up data set and backbone, checks everything that can be wrong, and plans; nothing is trained.
 *
 * @throws Fc7Error of the data set and the backbone; USAGE_FINETUNE, FINETUNE_LABEL, FINETUNE_CLASSES, FINETUNE_BATCH,
 *   FINETUNE_LAYER, FINETUNE_MEMORY
 */
export async function prepareFinetune(request: FinetuneRequest): Promise<PreparedFinetune> {
  const { progress = silentProgress, signal, cacheFolder, offline = false } = request
  const options = parseOptions(request.options ?? {})
  const backbone = await resolveBackbone(request.model, { cacheFolder, recipeName: request.recipe, offline })
  const dataset = await openDataset(request.source, datasetOptions(request))
  const items: DatasetItem[] = []
  let whole = true
  const scan = createScan()
  for await (const item of dataset.items(signal)) {
    if (request.limit !== undefined && items.length >= request.limit) {
      whole = false
      break
    }
    items.push(item)
    scan.add(item)
  }
  progress.say(dataset.decision)
  for (const note of dataset.notes()) progress.say(note)
  const [empty] = whole ? dataset.emptyLabels() : []
  if (empty !== undefined) {
    throw new Fc7Error('FINETUNE_CLASSES', `The label ${empty} has no image: its folder is empty.`, {
      hint: 'Put images into the folder, or remove it.',
    })
  }
  const roles = assignRoles(items, options.seed)
  const classes = classesOf(items, roles, options.positive)
  const weights = await weightsOf(backbone, { cacheFolder, offline, progress, signal })
  const model = await readModel(weights.path)
  const headed = buildHeaded(model, {
    recipe: backbone.recipe.recipe,
    card: backbone.card,
    outputs: options.positive === undefined ? classes.length : 1,
    random: options.strategy === 'scratch' ? createRandom(options.seed) : undefined,
    dropout: options.dropout,
  })
  const network = options.strategy === 'scratch' ? reinitialised(headed, options.seed) : headed
  const plan = planFinetune({
    network,
    card: backbone.card,
    backbone: { id: backbone.id, sha256: weights.sha256, recipe: backbone.recipe.name },
    dataset: { name: basename(resolve(request.source)), fingerprint: scan.end().fingerprint },
    classes,
    roles,
    options,
    memoryBytes: machineFacts().memoryBytes,
  })
  const identity = { plan, orient: request.orient ?? false, recipe: backbone.recipe.recipe }
  return { plan, planHash: sha256(JSON.stringify(identity)), items, roles, classes, backbone, model, network, options }
}

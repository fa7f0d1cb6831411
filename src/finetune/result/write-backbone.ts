import { join } from 'node:path'
import type { Card } from '../../backbones/card.js'
import { sha256, sha256File, writeJsonAtomic } from '../../base/files.js'
import { Classifier } from '../../classifiers/classifier.js'
import { trainedOnName } from '../../evaluation/guards/trained-on.js'
import type { ModelProto } from '../../onnx/generated/onnx_pb.js'
import { graphOf } from '../../onnx/walk.js'
import { writeModel } from '../../onnx/write.js'
import { LinearModel } from '../../trainers/linear/model.js'
import { Preprocess } from '../../trainers/preprocess/preprocess.js'
import type { PreparedFinetune } from '../plan/prepare.js'
import type { Weights } from '../train/checkpoint.js'
import { headOf, tunedModel } from './tuned-model.js'

/** Images by id, and by sha256 of their bytes. */
interface ImageList {
  readonly ids: readonly string[]
  readonly images: readonly string[]
}

export interface TunedBackbone {
  readonly out: string
  readonly id: string
  readonly weights: Weights
  /** Every image that training has seen, and those that the weights were fitted on. */
  readonly trainedOn: ImageList
  readonly fitted: ImageList
  readonly epoch: number
  readonly orient: boolean
}

export interface WrittenBackbone {
  readonly model: string
  readonly id: string
  readonly sha256: string
  readonly card: Card
}

function cardOf(prepared: PreparedFinetune, tuned: TunedBackbone, model: ModelProto, hash: string): Card {
  const { plan, network, backbone } = prepared
  const { card, recipe } = backbone
  const made = new Set(graphOf(model).node.flatMap(({ output }) => output))
  const layers = network.layers.flatMap(({ tensor, aliases }) =>
    made.has(tensor) ? aliases.map((alias) => ({ alias, tensor })) : [],
  )
  return {
    format: 1,
    id: tuned.id,
    title: `${card.title}, fine-tuned on ${plan.dataset.name}`,
    about:
      `${plan.strategy}, epoch ${tuned.epoch}; from ${plan.backbone.id} (${plan.backbone.sha256}); images ` +
      `${plan.dataset.fingerprint}.`,
    sources: [{ kind: 'file', path: 'model.onnx', sha256: hash }],
    licence: card.licence,
    input: { ...card.input, width: network.width, height: network.height },
    recipes: [{ name: recipe.name, recipe: recipe.recipe }],
    layers,
    defaultLayer: network.layer.tensor,
    classes: [...plan.classes],
  }
}

/** The head as a classifier of the tuned backbone's embeddings. */
function classifierOf({ plan, network, backbone }: PreparedFinetune, tuned: TunedBackbone, hash: string): Classifier {
  const { recipe } = backbone
  const recipeHash = sha256(JSON.stringify(recipe.recipe)).slice(0, 8)
  return new Classifier(
    {
      trainer: 'logistic',
      params: new Map(),
      preprocess: 'none',
      classWeight: plan.options.classWeight,
      seed: plan.options.seed,
      classes: plan.classes,
      fitted: plan.classes.map((_, i) => i),
      dim: plan.features.dim,
      provenance: {
        backbone: tuned.id,
        backboneSha256: hash,
        layer: network.layer.name,
        recipe: `${recipe.name} (exact, avg${tuned.orient ? ', oriented' : ''}, ${recipeHash})`,
      },
      trainedOn: tuned.fitted.ids,
      trainedImages: tuned.fitted.images,
    },
    new Preprocess([], plan.features.dim),
    new LinearModel({ ...headOf(network, tuned.weights), softmax: true, facts: { fineTuned: plan.strategy } }),
  )
}

/** Writes `model.onnx`, its card, the list of images it was trained on, and its head as a classifier folder. */
export async function writeBackbone(prepared: PreparedFinetune, tuned: TunedBackbone): Promise<WrittenBackbone> {
  const { network, backbone } = prepared
  const { out, id } = tuned
  const path = join(out, 'model.onnx')
  const model = tunedModel(prepared.model, network, tuned.weights, backbone.card.input)
  await writeModel(model, path)
  const hash = await sha256File(path)
  const card = cardOf(prepared, tuned, model, hash)
  await writeJsonAtomic(`${path}.card.json`, card)
  const trainedOn = { format: 1, kind: 'fc7-trained-on', backbone: hash, ...tuned.trainedOn }
  await writeJsonAtomic(join(out, trainedOnName), trainedOn)
  await classifierOf(prepared, tuned, hash).save(join(out, 'classifier'))
  return { model: path, id, sha256: hash, card }
}

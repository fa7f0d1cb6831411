import { join } from 'node:path'
import type { Card, ChosenRecipe } from '../../backbones/card.js'
import { prepareBackbone } from '../../backbones/prepare.js'
import { sha256, sha256File, writeJsonAtomic } from '../../base/files.js'
import { Classifier } from '../../classifiers/classifier.js'
import { trainedOnName } from '../../evaluation/guards/trained-on.js'
import { node, tensor, valueInfo } from '../../onnx/build.js'
import { cutGraph, withGraph, withModel } from '../../onnx/edit.js'
import type { ModelProto } from '../../onnx/generated/onnx_pb.js'
import { graphOf } from '../../onnx/walk.js'
import { writeModel } from '../../onnx/write.js'
import { LinearModel } from '../../trainers/linear/model.js'
import { Preprocess } from '../../trainers/preprocess/preprocess.js'
import { type HeadedNetwork, headBias, headWeight, innerName } from '../plan/network.js'
import type { FinetunePlan } from '../plan/plan.js'
import type { Weights } from '../train/checkpoint.js'

/**
 * The head's weights with one row a class: one output with a sigmoid equals two with a softmax, the first of them
 * always 0.
 */
export function headOf(network: HeadedNetwork, weights: Weights): { weights: Float32Array; bias: Float32Array } {
  const w = weights.get(headWeight)!
  const b = weights.get(headBias)!
  if (network.outputs > 1) return { weights: w, bias: b }
  const wide = new Float32Array(2 * w.length)
  wide.set(w, w.length)
  return { weights: wide, bias: Float32Array.of(0, b[0]!) }
}

/** The tuned network in the backbone's own form: its image input, the new weights, probabilities out. */
export function tunedModel(
  backbone: ModelProto,
  network: HeadedNetwork,
  weights: Weights,
  hint: Card['input'],
): ModelProto {
  const trunk = prepareBackbone(backbone, { ...hint, width: network.width, height: network.height })
  const { graph } = trunk
  const feature = network.layers.find(({ tensor: t }) => t === network.layer.tensor)!
  const original = new Map(graph.initializer.map(({ name }) => [innerName(name), name]))
  const source = [...graph.node.flatMap(({ output }) => output)].find((name) => innerName(name) === feature.tensor)!
  const flat = feature.shape.length > 2
  const pooled = flat && feature.shape.slice(2).some((n) => n !== 1)
  const head = headOf(network, weights)
  const classes = head.bias.length
  let current = source
  const nodes = []
  if (pooled) {
    nodes.push(node('GlobalAveragePool', [current], ['fc7/pooled']))
    current = 'fc7/pooled'
  }
  if (flat) {
    nodes.push(node('Flatten', [current], ['fc7/features'], { axis: 1 }))
    current = 'fc7/features'
  }
  nodes.push(
    node('Gemm', [current, headWeight, headBias], ['fc7/scores'], { transB: 1 }),
    node('Softmax', ['fc7/scores'], ['probabilities'], { axis: 1 }),
  )
  const replaced = graph.initializer.map((entry) => {
    const value = weights.get(innerName(entry.name))
    return value && original.has(innerName(entry.name))
      ? tensor(entry.name, 'float32', entry.dims.map(Number), value)
      : entry
  })
  const whole = withGraph(graph, {
    node: [...graph.node, ...nodes],
    initializer: [
      ...replaced,
      tensor(headWeight, 'float32', [classes, head.weights.length / classes], head.weights),
      tensor(headBias, 'float32', [classes], head.bias),
    ],
  })
  const output = valueInfo('probabilities', 'float32', ['N', classes])
  return withModel(trunk.model, { graph: cutGraph(whole, [output]), metadataProps: [], trainingInfo: [] })
}

export interface WrittenBackbone {
  readonly model: string
  readonly id: string
  readonly sha256: string
  readonly card: Card
}

/** Writes `model.onnx`, its card, the list of images it was trained on, and its head as a classifier folder. */
export async function writeBackbone(options: {
  readonly out: string
  readonly id: string
  readonly plan: FinetunePlan
  readonly backbone: ModelProto
  readonly card: Card
  readonly recipe: ChosenRecipe
  readonly network: HeadedNetwork
  readonly weights: Weights
  readonly trainedOn: { readonly ids: readonly string[]; readonly images: readonly string[] }
  readonly fitted: { readonly ids: readonly string[]; readonly images: readonly string[] }
  readonly epoch: number
  readonly orient: boolean
}): Promise<WrittenBackbone> {
  const { out, id, plan, card, recipe, network, weights } = options
  const path = join(out, 'model.onnx')
  const model = tunedModel(options.backbone, network, weights, card.input)
  await writeModel(model, path)
  const hash = await sha256File(path)
  const made = new Set(graphOf(model).node.flatMap(({ output }) => output))
  const layers = network.layers.flatMap(({ tensor: t, aliases }) =>
    made.has(t) ? aliases.map((alias) => ({ alias, tensor: t })) : [],
  )
  const next: Card = {
    format: 1,
    id,
    title: `${card.title}, fine-tuned on ${plan.dataset.name}`,
    about:
      `${plan.strategy}, epoch ${options.epoch}; from ${plan.backbone.id} (${plan.backbone.sha256}); images ` +
      `${plan.dataset.fingerprint}.`,
    sources: [{ kind: 'file', path: 'model.onnx', sha256: hash }],
    licence: card.licence,
    input: { ...card.input, width: network.width, height: network.height },
    recipes: [{ name: recipe.name, recipe: recipe.recipe }],
    layers,
    defaultLayer: network.layer.tensor,
    classes: [...plan.classes],
  }
  await writeJsonAtomic(`${path}.card.json`, next)
  await writeJsonAtomic(join(out, trainedOnName), {
    format: 1,
    kind: 'fc7-trained-on',
    backbone: hash,
    ...options.trainedOn,
  })
  const head = headOf(network, weights)
  const classifier = new Classifier(
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
        backbone: id,
        backboneSha256: hash,
        layer: network.layer.name,
        recipe:
          `${recipe.name} (exact, avg${options.orient ? ', oriented' : ''}, ` +
          `${sha256(JSON.stringify(recipe.recipe)).slice(0, 8)})`,
      },
      trainedOn: options.fitted.ids,
      trainedImages: options.fitted.images,
    },
    new Preprocess([], plan.features.dim),
    new LinearModel({ ...head, softmax: true, facts: { fineTuned: plan.strategy } }),
  )
  await classifier.save(join(out, 'classifier'))
  return { model: path, id, sha256: hash, card: next }
}

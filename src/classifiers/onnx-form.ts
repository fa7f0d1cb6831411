import { create } from '@bufbuild/protobuf'
import { Fc7Error } from '../base/errors.js'
import { defaultOpset, OnnxWriter } from '../onnx/classifier-writer.js'
import { withModel } from '../onnx/edit.js'
import { type ModelProto, StringStringEntryProtoSchema } from '../onnx/generated/onnx_pb.js'
import { calibrationOnnx } from '../trainers/calibration/onnx-form.js'
import { preprocessOnnx } from '../trainers/preprocess/onnx-form.js'
import type { Saveable } from './classifier-file.js'

/** Name of the input of a classifier written as ONNX. */
export const embeddingName = 'embedding'
export const labelName = 'label'

/** Name of the output that holds the scores, by what they are. */
export const scoresName = (kind: 'probability' | 'decision'): string =>
  kind === 'probability' ? 'probabilities' : 'scores'

/** The model with entries in its metadata, which any runtime shows. */
export function withMetadata(model: ModelProto, entries: Readonly<Record<string, string>>): ModelProto {
  return withModel(model, {
    metadataProps: Object.entries(entries).map(([key, value]) => create(StringStringEntryProtoSchema, { key, value })),
  })
}

/** The parts of a Classifier that its graph is made of; `absentScore` is what a class without training rows gets. */
export type Describable = Saveable & { readonly absentScore: number }

/** What a reader of the file needs besides the graph. */
export function classifierMetadata(classifier: Saveable): Record<string, string> {
  const { info } = classifier
  return {
    'fc7.format': '1',
    'fc7.classes': JSON.stringify(info.classes),
    'fc7.scores': classifier.scoreKind,
    'fc7.trainer': info.trainer,
    'fc7.preprocess': info.preprocess,
    'fc7.backbone': info.provenance.backbone,
    'fc7.layer': info.provenance.layer,
    'fc7.recipe': info.provenance.recipe,
  }
}

/**
 * A classifier as one ONNX model: `embedding` float32 `[N, dim]` → preprocessing, model, calibration → `label` string
 * `[N]` and `probabilities` (or, from a classifier without, `scores`) float32 `[N, classes]`. Its scores are
 * `predictScores`' to 1e-5.
 *
 * @param opset operator set to write in, 9 or later; default 17
 * @throws Fc7Error ONNX_NOT_SUPPORTED for a reference trainer, ONNX_OPSET
 */
export function classifierModel(classifier: Describable, opset: number = defaultOpset): ModelProto {
  const { info, model, preprocess, calibration, scoreKind } = classifier
  if (!model.toOnnx) {
    throw new Fc7Error('ONNX_NOT_SUPPORTED', `A classifier of ${info.trainer} cannot be written as ONNX.`, {
      hint: 'Reference trainers stay in JavaScript; every other trainer can.',
    })
  }
  const g = new OnnxWriter('classifier', opset)
  const input = g.input(embeddingName, 'float32', ['N', info.dim])
  const raw = model.toOnnx(g, preprocessOnnx(g, input, preprocess.steps))
  const own = calibration ? calibrationOnnx(g, raw, calibration) : raw
  const wide = spread(g, own, info.fitted, info.classes.length, classifier.absentScore)
  const name = scoresName(scoreKind)
  g.add('Identity', [wide], {}, { outputs: [name] })
  const best = g.add('ArgMax', [wide], { axis: 1, keepdims: 0 })
  g.add('Gather', [g.strings(info.classes), best], { axis: 0 }, { outputs: [labelName] })
  g.output(labelName, 'string', ['N'])
  g.output(name, 'float32', ['N', info.classes.length])
  return withMetadata(g.finish(), classifierMetadata(classifier))
}

/** The model's columns at their places among all classes; those without training rows get `absent`. */
function spread(g: OnnxWriter, scores: string, fitted: readonly number[], classes: number, absent: number): string {
  if (fitted.length === classes) return scores
  const one = g.add('Gather', [scores, g.ints([0])], { axis: 1 })
  const column = g.add('Add', [g.add('Mul', [one, g.floats(0)]), g.floats(absent)])
  const both = g.add('Concat', [scores, column], { axis: 1 })
  const place = new Map(fitted.map((c, k) => [c, k]))
  return g.add('Gather', [both, g.ints(Array.from({ length: classes }, (_, c) => place.get(c) ?? fitted.length))], {
    axis: 1,
  })
}

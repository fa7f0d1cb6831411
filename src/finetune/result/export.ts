import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Fc7Error } from '../../base/errors.js'
import { sha256File, writeFileAtomic, writeJsonAtomic } from '../../base/files.js'
import { encodeSafetensors } from '../../base/safetensors.js'
import { writeModel } from '../../onnx/write.js'
import { buildPhaseGraphs } from '../plan/graphs.js'
import { lrFactors } from '../plan/learning-rate.js'
import { classCounts, type PreparedFinetune } from '../plan/prepare.js'
import { tunedModel } from './tuned-model.js'

/**
 * Writes the three graphs that any ONNX Runtime can run, the initial values of everything that goes around the loop,
 * and the manifest that docs/training-graph.md describes. Only strategies of one phase; the data are pixels, nothing is
 * cached.
 *
 * @returns the files' names
 */
export async function exportTraining(prepared: PreparedFinetune, out: string): Promise<string[]> {
  const { plan, network, model, backbone } = prepared
  const [phase, second] = plan.phases
  if (!phase || second) {
    throw new Fc7Error('FINETUNE_EXPORT', 'lp-ft has two phases with a graph each; an export holds one.', {
      hint: 'Export --strategy head and --strategy all one after the other.',
    })
  }
  const whole = {
    ...phase,
    frozenLayers: phase.frozenLayers === 'cached' ? ('computed each epoch' as const) : phase.frozenLayers,
  }
  const { training, evaluation, input } = buildPhaseGraphs(network, plan, whole, {
    classCounts: classCounts(prepared),
    everyRow: false,
  })
  await mkdir(out, { recursive: true })
  await writeModel(training.model, join(out, 'training.onnx'))
  await writeModel(evaluation, join(out, 'evaluation.onnx'))
  await writeModel(tunedModel(model, network, training.initial, backbone.card.input), join(out, 'inference.onnx'))
  const tensors = new Map(
    training.loopState.map(({ name, dims }) => [name, { dims: [...dims], values: training.initial.get(name)! }]),
  )
  await writeFileAtomic(join(out, 'initial.safetensors'), encodeSafetensors(tensors))
  const factors = lrFactors(network, phase, plan.options.depthLrFactor)
  const files = ['training.onnx', 'evaluation.onnx', 'inference.onnx', 'initial.safetensors']
  await writeJsonAtomic(join(out, 'manifest.json'), {
    format: 1,
    kind: 'fc7-training-graph',
    batchSize: training.batch,
    classes: plan.classes,
    loss: plan.loss,
    optimizer: plan.optimizer,
    lr: phase.lr,
    data: { row: training.rowShape, type: training.inputType, evaluationInput: input },
    recipe: backbone.recipe,
    masks: training.masks,
    mixup: training.mixup,
    parts: training.parts,
    loopState: training.loopState,
    lrFactors: Object.fromEntries(factors),
    files: await Promise.all(files.map(async (file) => ({ file, sha256: await sha256File(join(out, file)) }))),
  })
  return [...files, 'manifest.json']
}

import type { GraphBuilder } from '../../onnx/build.js'

export interface SoftmaxLoss {
  readonly kind: 'softmax'
  /** Weight of each class, `[C]`; default 1. */
  readonly classWeights?: readonly number[] | undefined
  /** Label smoothing ε in [0, 1): the target keeps 1 − ε and shares ε among all classes. Default 0. */
  readonly labelSmoothing?: number | undefined
}

export interface SigmoidLoss {
  readonly kind: 'sigmoid'
  /** Weights of the negative and the positive class; default 1. */
  readonly classWeights?: readonly number[] | undefined
  readonly labelSmoothing?: number | undefined
}

/** What a network is trained towards: a distribution over classes, or one probability (normal / abnormal). */
export type Loss = SoftmaxLoss | SigmoidLoss

export interface LossInputs {
  /** float32 `[B, C]`; C = 1 for the sigmoid loss. */
  readonly logits: string
  /** int64 `[B]`; 0 or 1 for the sigmoid loss. */
  readonly labels: string
  /** float32 `[B]`; 0 leaves a row out (the padding of a last batch). */
  readonly weights: string
  readonly batch: number
  readonly classes: number
  /** Mixup: a second label of each row, int64 `[B]`, and the share of the first, float32 `[B]`. */
  readonly mix?: { readonly labels: string; readonly share: string } | undefined
}

export interface LossOutputs {
  /** float32 scalar: the weighted mean over the batch, as PyTorch's `reduction='mean'` with class weights. */
  readonly loss: string
  /** float32 `[B, C]`: derivative of the loss at the logits. */
  readonly gradient: string
  /**
   * float32 scalar: summed weight of the rows that are classified correctly; a mixed row counts each label by its
   * share.
   */
  readonly correct: string
}

/** Guards the mean of a batch in which every row has weight 0. */
const tiny = 1e-12

/** Appends the loss, its gradient at the logits, and the number of correct rows. */
export function buildLoss(g: GraphBuilder, loss: Loss, inputs: LossInputs): LossOutputs {
  return loss.kind === 'softmax' ? buildSoftmax(g, loss, inputs) : buildSigmoid(g, loss, inputs)
}

/**
 * What a function of the labels is for each row: that of its label, or of both by their shares. Linear in the label's
 * one-hot row.
 */
function ofLabels(
  g: GraphBuilder,
  { labels, mix }: LossInputs,
  value: (labels: string) => string,
  share?: string | undefined,
): string {
  const first = value(labels)
  if (!mix) return first
  const part = share ?? mix.share
  const second = value(mix.labels)
  // second + share · (first − second)
  return g.add('Add', [second, g.add('Mul', [part, g.add('Sub', [first, second])])])
}

const column = (g: GraphBuilder, vector: string, { batch }: LossInputs): string =>
  g.add('Reshape', [vector, g.ints([batch, 1])])

/** Weight of each row's class, `[B]`. */
const classShare = (g: GraphBuilder, classWeights: readonly number[], inputs: LossInputs): string =>
  ofLabels(g, inputs, (labels) => g.add('Gather', [g.floats(classWeights), labels]))

/** Rows' weights over their sum, `[B, 1]`; the sum counts class weights, as PyTorch's mean does. */
function shares(g: GraphBuilder, loss: Loss, inputs: LossInputs): string {
  let divisor = inputs.weights
  if (loss.classWeights) divisor = g.add('Mul', [inputs.weights, classShare(g, loss.classWeights, inputs)])
  const sum = g.add('Max', [g.add('ReduceSum', [divisor], { keepdims: 0 }), g.floats(tiny)])
  return column(g, g.add('Div', [inputs.weights, sum]), inputs)
}

/** `same` says where a label was predicted, bool `[B]`. */
function countCorrect(g: GraphBuilder, inputs: LossInputs, same: (labels: string) => string): string {
  const right = ofLabels(g, inputs, (labels) => g.add('Cast', [same(labels)], { to: 1 }))
  return g.add('ReduceSum', [g.add('Mul', [right, inputs.weights])], { keepdims: 0 })
}

function buildSoftmax(g: GraphBuilder, loss: SoftmaxLoss, inputs: LossInputs): LossOutputs {
  const { classes, logits } = inputs
  const labelSmoothing = loss.labelSmoothing ?? 0
  const share = shares(g, loss, inputs)
  const low = labelSmoothing / classes
  let target = ofLabels(
    g,
    inputs,
    (labels) => g.add('OneHot', [labels, g.ints([classes]), g.floats([low, 1 - labelSmoothing + low])], { axis: -1 }),
    inputs.mix && column(g, inputs.mix.share, inputs),
  )
  if (loss.classWeights) target = g.add('Mul', [target, g.floats(loss.classWeights)])
  target = g.add('Mul', [target, share])
  const logp = g.add('LogSoftmax', [logits], { axis: -1 })
  const total = g.add('Neg', [g.add('ReduceSum', [g.add('Mul', [target, logp])], { keepdims: 0 })])
  const mass = g.add('ReduceSum', [target, g.ints([1])], { keepdims: 1 })
  const gradient = g.add('Sub', [g.add('Mul', [g.add('Exp', [logp]), mass]), target])
  const predicted = g.add('ArgMax', [logits], { axis: 1, keepdims: 0 })
  return {
    loss: total,
    gradient,
    correct: countCorrect(g, inputs, (labels) => g.add('Equal', [predicted, labels])),
  }
}

/** max(z, 0) − z·t + log(1 + exp(−|z|)), which never overflows. */
function buildSigmoid(g: GraphBuilder, loss: SigmoidLoss, inputs: LossInputs): LossOutputs {
  const { logits } = inputs
  const labelSmoothing = loss.labelSmoothing ?? 0
  let share = shares(g, loss, inputs)
  let target = ofLabels(g, inputs, (labels) => g.add('Cast', [labels], { to: 1 }))
  if (loss.classWeights) {
    const own = classShare(g, loss.classWeights, inputs)
    share = g.add('Mul', [share, column(g, own, inputs)])
    // Of two labels mixed, the target is the share of the positive one in the weight of both.
    if (inputs.mix) target = g.add('Div', [g.add('Mul', [target, g.floats(loss.classWeights[1]!)]), own])
  }
  target = column(g, target, inputs)
  if (labelSmoothing > 0)
    target = g.add('Add', [g.add('Mul', [target, g.floats(1 - labelSmoothing)]), g.floats(labelSmoothing / 2)])
  const decay = g.add('Exp', [g.add('Neg', [g.add('Abs', [logits])])])
  const soft = g.add('Log', [g.add('Add', [g.floats(1), decay])])
  const linear = g.add('Sub', [g.add('Relu', [logits]), g.add('Mul', [logits, target])])
  const each = g.add('Mul', [g.add('Add', [linear, soft]), share])
  const gradient = g.add('Mul', [g.add('Sub', [g.add('Sigmoid', [logits]), target]), share])
  const positive = g.add('Reshape', [g.add('Greater', [logits, g.floats(0)]), g.ints([inputs.batch])])
  return {
    loss: g.add('ReduceSum', [each], { keepdims: 0 }),
    gradient,
    correct: countCorrect(g, inputs, (labels) => g.add('Equal', [positive, g.add('Cast', [labels], { to: 9 })])),
  }
}

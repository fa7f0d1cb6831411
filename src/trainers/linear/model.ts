import { z } from 'zod'
import type { OnnxWriter } from '../../onnx/classifier-writer.js'
import type { Matrix, Model, ModelState } from '../contract.js'
import { gemm } from '../linalg/gemm.js'
import { factsSchema, readConfig, readTensor, tensorOf } from '../state.js'
import { linearOnnx, softmaxOnnx } from './onnx-form.js'

export interface LinearParts {
  /** `[classes, cols]` */
  readonly weights: Float32Array
  /** `[classes]` */
  readonly bias: Float32Array
  /** Softmax of the scores: they are probabilities then. */
  readonly softmax: boolean
  readonly facts: Readonly<Record<string, number | string>>
}

/** Two classes are fitted as one column (class 1 against class 0): `[1, cols]` becomes `[2, cols]`. */
export function twoColumns(
  weights: Float32Array,
  bias: ArrayLike<number>,
  mirror: boolean,
): { weights: Float32Array; bias: Float32Array } {
  const wide = new Float32Array(2 * weights.length)
  if (mirror) for (let j = 0; j < weights.length; j++) wide[j] = -weights[j]!
  wide.set(weights, weights.length)
  return { weights: wide, bias: Float32Array.of(mirror ? -bias[0]! : 0, bias[0]!) }
}

/** Softmax of every row of `[rows, columns]`, in place. */
export function softmaxRows(scores: Float32Array, columns: number): Float32Array {
  for (let i = 0; i < scores.length; i += columns) {
    let top = Number.NEGATIVE_INFINITY
    for (let k = 0; k < columns; k++) top = Math.max(top, scores[i + k]!)
    let sum = 0
    for (let k = 0; k < columns; k++) {
      scores[i + k] = Math.exp(scores[i + k]! - top)
      sum += scores[i + k]!
    }
    for (let k = 0; k < columns; k++) scores[i + k]! /= sum
  }
  return scores
}

/** One hyperplane a class: linear SVM, logistic regression, linear discriminants, nearest mean. */
export class LinearModel implements Model {
  readonly scoreKind: 'probability' | 'decision'
  readonly facts: Readonly<Record<string, number | string>>

  constructor(readonly parts: LinearParts) {
    this.scoreKind = parts.softmax ? 'probability' : 'decision'
    this.facts = parts.facts
  }

  async scores(x: Matrix, options: { readonly threads?: number | undefined } = {}): Promise<Float32Array> {
    const { weights, bias, softmax } = this.parts
    const classes = bias.length
    const { data } = await gemm(
      x,
      { data: weights, rows: classes, cols: weights.length / classes },
      { transB: true, threads: options.threads ?? 1 },
    )
    for (let i = 0; i < data.length; i += classes) for (let k = 0; k < classes; k++) data[i + k]! += bias[k]!
    return softmax ? softmaxRows(data, classes) : data
  }

  save(): ModelState {
    const { weights, bias, softmax, facts } = this.parts
    return {
      config: { kind: 'linear', softmax, facts },
      tensors: new Map([
        ['weights', tensorOf([bias.length, weights.length / bias.length], weights)],
        ['bias', tensorOf([bias.length], bias)],
      ]),
    }
  }

  toOnnx(graph: OnnxWriter, x: string): string {
    const scores = linearOnnx(graph, x, this.parts.weights, this.parts.bias)
    return this.parts.softmax ? softmaxOnnx(graph, scores) : scores
  }

  static load(state: ModelState): LinearModel {
    const { softmax, facts } = readConfig(state, schema)
    const bias = readTensor(state, 'bias', 'float32', [-1])
    return new LinearModel({
      weights: readTensor(state, 'weights', 'float32', [bias.length, -1]),
      bias,
      softmax,
      facts,
    })
  }
}

const schema = z.object({ kind: z.literal('linear'), softmax: z.boolean(), facts: factsSchema })
